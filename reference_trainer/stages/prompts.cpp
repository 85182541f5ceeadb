#include "stages/prompts.hpp"

#include <algorithm>
#include <array>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include <coho/error.hpp>
#include <nlohmann/json.hpp>

#include "data/bad_records.hpp"
#include "data/hash_set.hpp"
#include "data/prompt_draw.hpp"
#include "data/source_prompt.hpp"
#include "files/atomic_file.hpp"
#include "stages/model_settings.hpp"
#include "stages/prompt_counts.hpp"
#include "text/chat_export.hpp"
#include "text/clean_text.hpp"
#include "text/language.hpp"
#include "text/sentencepiece.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

struct source_settings {
  std::string name;
  fs::path path;
  std::optional<std::size_t> count{};
  std::optional<question_kind> kind{};
  std::optional<double> length_bonus{};
  std::vector<std::string> languages{};
};

struct prompts_settings {
  fs::path tokenizer;
  std::size_t minimum_tokens = 2, maximum_tokens = 256;
  bool require_counts = false;
  std::optional<double> reasoning_length_bonus{};
  std::vector<source_settings> sources{};
};

source_settings read_source(const std::string& name, const config& section, const std::vector<std::string>& languages) {
  source_settings out{.name = name, .path = section.require<fs::path>("path", "a file or a folder of prompts")};
  out.count = section.find<std::size_t>("count");
  const auto type = section.choice("question_type", "of_record", {"of_record", "general", "reasoning", "red_teaming"});
  for (const auto kind : {question_kind::general, question_kind::reasoning, question_kind::red_teaming})
    if (type == name_of(kind)) out.kind = kind;
  out.length_bonus = section.find<double>("length_bonus");
  out.languages = section.get<std::vector<std::string>>("languages", languages);
  return out;
}

prompts_settings read_settings(const config& options, const std::string& name) {
  const config section = options.section(name);
  prompts_settings out;
  out.tokenizer = section.get<fs::path>("tokenizer", {});
  // The section `model` is another stage's unless it is needed.
  if (out.tokenizer.empty()) out.tokenizer = read_model_settings(options).path;
  section.check(!out.tokenizer.empty(), "tokenizer", "given where there is no model.path");
  out.minimum_tokens = section.get<std::size_t>("minimum_tokens", out.minimum_tokens);
  out.maximum_tokens = section.get<std::size_t>("maximum_tokens", out.maximum_tokens);
  section.check(out.maximum_tokens >= std::max<std::size_t>(out.minimum_tokens, 1), "maximum_tokens",
                "at least 1 and minimum_tokens");
  out.require_counts = section.get<bool>("require_counts", out.require_counts);
  out.reasoning_length_bonus = section.find<double>("reasoning_length_bonus");
  const auto languages = section.get<std::vector<std::string>>("languages", {});
  for (const auto& [source, keys] : section.named_sections("source"))
    out.sources.push_back(read_source(source, keys, languages));
  if (std::ranges::all_of(out.sources, [](const auto& source) { return source.count == 0u; }))
    throw config_error(name + ".source is not given; expected at least one [[" + name +
                       ".source]] with name and path in the recipe");
  return out;
}

// The file itself, or those below a folder, in an order that does not depend on the disk.
// Those of `written` are not among them: a run's own output is nobody's collection.
std::vector<fs::path> files_of(const fs::path& path, const std::array<fs::path, 2>& written) {
  if (!fs::is_directory(path)) return {path};
  const auto is_written = [&](const fs::path& file) {
    std::error_code none;
    return std::ranges::any_of(written, [&](const auto& own) { return fs::equivalent(file, own, none); });
  };
  std::vector<fs::path> out;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    const auto name = entry.path().filename().string();
    if (entry.is_regular_file() && std::ranges::any_of(std::array{".json", ".jsonl", ".json.gz", ".jsonl.gz"},
                                                       [&](const char* end) { return name.ends_with(end); }))
      if (!is_written(entry.path())) out.push_back(entry.path());
  }
  if (out.empty())
    throw file_error(path.string(), "", "is a folder without .json, .jsonl, .json.gz or .jsonl.gz files");
  std::ranges::sort(out);
  return out;
}

bool is_wanted(const std::string& language, const std::vector<std::string>& wanted) {
  return wanted.empty() || std::ranges::any_of(wanted, [&](const std::string& each) {
           return language == each || language.substr(0, language.find('-')) == each;
         });
}

/// Reads sources one after the other and keeps what is drawn of each.
class prompt_collection {
 public:
  prompt_collection(const prompts_settings& settings, const std::array<fs::path, 2>& written, std::uint64_t seed)
      : settings_(settings),
        written_(written),
        tokenizer_(sentencepiece_tokenizer::from_file(settings.tokenizer)),
        spool_(written.front()),
        seed_(seed) {}

  void read(const source_settings& source, stage_context& context, progress& bar) {
    prompt_counts& counts =
        counts_.emplace_back(prompt_counts{.name = source.name, .path = source.path, .asked = source.count});
    prompt_draw draw(seed_, source.name, source.count.value_or(std::numeric_limits<std::size_t>::max()));
    for (const auto& file : files_of(source.path, written_)) {
      jsonl_reader reader(file, {.on_bad_text = bad_text::replace});
      source_prompt prompt;
      const auto take = [&](const json& value) {
        prompt = read_source_prompt(value, reader);
        return true;
      };
      const auto pass_over = [&] {
        ++counts.read;
        ++counts.of(prompt_removal::bad_record);
      };
      while (next_usable(reader, take, pass_over)) {
        context.stop_if_interrupted();
        ++counts.read;
        if (const auto reason = add(std::move(prompt), source, draw, counts)) ++counts.of(*reason);
        bar.advance(1, source.name);
      }
    }
    if (counts.read == 0) throw file_error(source.path.string(), "", "holds no records");
    for (const auto& prompt : draw.take()) {
      ++counts.kept;
      ++counts.languages[languages_[prompt.language]];
      drawn_.push_back(prompt);
    }
  }

  const std::vector<prompt_counts>& counts() const { return counts_; }

  void write(jsonl_writer& writer, stage_context& context) {
    shuffle_by_hash(drawn_, seed_);
    for (const auto& prompt : drawn_) {
      context.stop_if_interrupted();
      writer.write(json::parse(spool_.read(prompt.text)));
    }
  }

 private:
  // Why the prompt is removed, or nothing when it is drawn for now.
  std::optional<prompt_removal> add(source_prompt read, const source_settings& source, prompt_draw& draw,
                                    prompt_counts& counts) {
    if (read.removed) return read.removed;
    prompt_record& prompt = read.prompt;
    std::size_t characters = 0, unreadable = 0;
    for (auto* text : {&prompt.instruction, &prompt.input}) {
      auto cleaned = clean_text(read.from_page ? without_page_residue(*text) : *text);
      characters += cleaned.characters;
      unreadable += cleaned.unreadable;
      *text = std::move(cleaned.text);
    }
    // One may be half an emoji at a border that somebody cut at.
    if (unreadable > 1 && 20 * unreadable > characters) return prompt_removal::damaged;
    if (prompt.instruction.empty()) std::swap(prompt.instruction, prompt.input);
    if (prompt.instruction.empty()) return prompt_removal::empty;

    const std::string text = prompt.text();
    const std::uint64_t hash = stream_key(normalized_text(text));
    if (!seen_.insert(hash)) return prompt_removal::duplicate;
    // What cannot be drawn any more need not be measured: of a large source that is most.
    if (!draw.wants(hash)) return prompt_removal::not_drawn;
    const std::size_t tokens = tokenizer_.encode(text).size();
    if (tokens < settings_.minimum_tokens) return prompt_removal::too_short;
    if (tokens > settings_.maximum_tokens) return prompt_removal::too_long;
    const std::string found = cld2_language{}(text);
    if (found != cld2_language::unknown || prompt.language.empty()) prompt.language = found;
    if (!is_wanted(prompt.language, source.languages)) return prompt_removal::language;

    counts.repaired += unreadable > 0;
    prompt.source = source.name;
    if (source.kind) prompt.kind = *source.kind;
    if (source.length_bonus)
      prompt.length_bonus = source.length_bonus;
    else if (prompt.kind == question_kind::reasoning && !prompt.length_bonus)
      prompt.length_bonus = settings_.reasoning_length_bonus;
    const auto place = spool_.append(to_json(prompt).dump());
    const bool displaced = draw.add({.hash = hash, .text = place, .language = number_of(prompt.language)});
    if (displaced) ++counts.of(prompt_removal::not_drawn);
    return std::nullopt;
  }

  std::uint32_t number_of(const std::string& language) {
    const auto found = std::ranges::find(languages_, language);
    const auto number = static_cast<std::uint32_t>(found - languages_.begin());
    if (found == languages_.end()) languages_.push_back(language);
    return number;
  }

  const prompts_settings& settings_;
  std::array<fs::path, 2> written_;
  sentencepiece_tokenizer tokenizer_;
  spool_file spool_;
  std::uint64_t seed_;
  hash_set seen_;
  std::vector<std::string> languages_;
  std::vector<drawn_prompt> drawn_;
  std::vector<prompt_counts> counts_;
};

void check_counts(const prompts_settings& settings, const std::vector<prompt_counts>& counts,
                  const std::string& section, stage_context& context) {
  for (const auto& source : counts) {
    if (source.short_by() == 0) continue;
    const auto what = "source " + source.name + ": " + std::to_string(source.kept) + " prompts remain of the " +
                      std::to_string(*source.asked) + " that " + section + ".source." + source.name + ".count asks for";
    require_argument(!settings.require_counts, what);
    context.log("warning: " + what);
  }
}

}  // namespace

void run_prompts(const config& options, stage_context& context) {
  const std::string name = options.get<bool>("rl", false) ? "rl_prompts" : "prompts";
  const prompts_settings settings = read_settings(options, name);
  const fs::path out = context.out_or(name == "prompts" ? "preference_prompts.jsonl" : "rl_prompts.jsonl");
  const fs::path counts_path = fs::path(out).replace_extension(".counts.json");
  const std::array<fs::path, 2> written{out, counts_path};
  if (!context.begin(options)) return;
  if (context.resume && fs::exists(out) && fs::exists(counts_path)) {
    context.log(out.string() + ": this run had ended; there is nothing to resume");
    return;
  }
  for (const auto& source : settings.sources) {
    if (fs::exists(out) && fs::exists(source.path) && fs::equivalent(out, source.path))
      throw config_error(name + ".source." + source.name + ".path = " + source.path.string() +
                         " is the file that is to be written");
    // One that is missing is told before the others are read.
    if (source.count != 0u) jsonl_reader(files_of(source.path, written).front());
  }

  // The counts are the last to be there: where both files are, the run had ended.
  fs::remove(counts_path);
  jsonl_writer writer(out, false);
  prompt_collection prompts(settings, written, context.seed);
  auto bar = context.start_progress(name, 0, "records");
  for (const auto& source : settings.sources)
    if (source.count != 0u) prompts.read(source, context, bar);
  const auto total = total_of(prompts.counts());
  check_counts(settings, prompts.counts(), name, context);
  require_argument(total.kept > 0, "no prompt remains of " + std::to_string(total.read) + " records: see " + name +
                                       ".minimum_tokens, .maximum_tokens and .languages");
  prompts.write(writer, context);
  writer.finish();
  write_file(counts_path,
             counts_json(prompts.counts(), context.seed).dump(2, ' ', false, json::error_handler_t::replace) + "\n");
  bar.finish(std::to_string(total.kept) + " prompts → " + out.string());
  std::cout << counts_table(prompts.counts());
}

subcommand make_prompts_command() {
  return {.name = "prompts",
          .help = "prepare a set of prompts out of other people's collections",
          .run = run_prompts,
          .flags = {{"--rl", "rl", "prompts of RL: read the section rl_prompts in place of prompts", "true"},
                    {"--model", "model.path", "folder of the model whose tokenizer counts tokens"}},
          .sections = {"prompts", "rl_prompts", "model"},
          .variants = {{"rl_prompts", "--rl", "rl"}}};
}

}  // namespace coho::trainer
