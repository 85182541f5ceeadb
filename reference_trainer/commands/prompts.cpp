#include <algorithm>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <unordered_set>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "collection/hash_set.hpp"
#include "collection/inference_question.hpp"
#include "collection/prompt_counts.hpp"
#include "collection/prompt_sampler.hpp"
#include "collection/source_prompt.hpp"
#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "files/atomic_file.hpp"
#include "files/data_files.hpp"
#include "jsonl/bad_records.hpp"
#include "run/stage.hpp"
#include "settings/model_settings.hpp"
#include "settings/prompt_set_settings.hpp"
#include "text/chat_export.hpp"
#include "text/clean_text.hpp"
#include "text/language.hpp"
#include "tokenizer/text_tokenizer.hpp"
#include "unicode/unicode_text.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// Whether a language is among those wanted, in whole ("zh-Hant") or by its first part ("zh"); all are where none is
// named.
bool is_wanted(const std::string& language, const std::vector<std::string>& wanted) {
  return wanted.empty() || std::ranges::any_of(wanted, [&](const std::string& each) {
           return language == each || language.substr(0, language.find('-')) == each;
         });
}

struct cleaned_prompt {
  std::size_t characters = 0, unreadable = 0;
  std::uint64_t hash = 0;  ///< of the text, ignoring case and white space
};

// Cleans the texts of a prompt in place.
cleaned_prompt clean_prompt(source_prompt& read) {
  cleaned_prompt out;
  prompt_record& prompt = read.prompt;
  for (auto* text : {&prompt.instruction, &prompt.input}) {
    auto cleaned = clean_text(read.from_page ? clean_chat_export(*text) : *text);
    out.characters += cleaned.characters;
    out.unreadable += cleaned.unreadable;
    *text = std::move(cleaned.text);
  }
  if (prompt.instruction.empty()) std::swap(prompt.instruction, prompt.input);
  out.hash = stream_key(normalize_for_comparison(prompt.text()));
  return out;
}

/// Reads sources one after the other and keeps the draw of each.
class prompt_collection {
 public:
  prompt_collection(const prompt_set_settings& settings, const std::vector<fs::path>& written, std::uint64_t seed)
      : settings_(settings),
        written_(written),
        tokenizer_(load_tokenizer(settings.tokenizer)),
        spool_(written.front()),
        seed_(seed) {
    for (const auto& path : settings.exclude) exclude(path);
  }

  // Reads all files of a source, counts what becomes of each record, and keeps the prompts that are drawn.
  void read(const prompt_source_settings& source, stage_context& context, progress& bar) {
    require_argument(counts_.size() < std::numeric_limits<std::uint16_t>::max(), "prompts: too many sources");
    prompt_counts& counts =
        counts_.emplace_back(prompt_counts{.name = source.name, .path = source.path, .asked = source.count});
    auto draws = make_draws(source, counts);
    for (const auto& file : list_data_files(source.path, written_)) {
      for_each_prompt(
          file, source.columns,
          [&](source_prompt&& prompt) {
            context.stop_if_interrupted();
            ++counts.read;
            if (const auto reason = add(std::move(prompt), source, draws, counts)) ++counts.of(*reason);
            bar.advance(1, source.name);
          },
          [&] {
            ++counts.read;
            ++counts.of(prompt_removal::bad_record);
          });
    }
    if (counts.read == 0) throw file_error(source.path.string(), "", "has no records");
    for (std::size_t i = 0; i < draws.size(); ++i) {
      if (!counts.parts.empty()) counts.parts[i].drawn = draws[i].size();
      for (auto drawn = draws[i].extract(); !drawn.empty(); drawn.pop_front()) {
        ++counts.kept;
        ++counts.languages[languages_[drawn.front().language]];
        drawn_.push_back(drawn.front());
      }
    }
  }

  const std::vector<prompt_counts>& counts() const { return counts_; }

  /// The held-out prompts are the first of the shuffled order: a uniform draw decided by the seed.
  void write(jsonl_writer& set, jsonl_writer* held_out, stage_context& context) {
    shuffle_by_hash(drawn_, seed_);
    for (std::size_t i = 0; i < drawn_.size(); ++i) {
      context.stop_if_interrupted();
      const auto& prompt = drawn_[i];
      const bool out = held_out != nullptr && i < settings_.held_out;
      (out ? *held_out : set).write(json::parse(spool_.read(prompt.text())));
      if (out) counts_[prompt.source].hold_out(languages_[prompt.language]);
    }
  }

 private:
  // Calls use(prompt) for each record of a file, and skip() for each that cannot be used where these are passed over.
  template <class Use, class Skip>
  static void for_each_prompt(const fs::path& file, const column_choice& columns, const Use& use, const Skip& skip) {
    jsonl_reader reader(file, {.on_bad_text = bad_text::replace}, columns);
    source_prompt prompt;
    const auto take = [&](const json& value) {
      prompt = read_source_prompt(value, reader);
      return true;
    };
    while (next_usable(reader, take, skip)) use(std::move(prompt));
  }

  // Remembers the prompts of a file or folder as not to be drawn.
  void exclude(const fs::path& path) {
    for (const auto& file : list_data_files(path, written_))
      for_each_prompt(
          file, {},
          [&](source_prompt&& prompt) {
            if (!prompt.removed) excluded_.insert(clean_prompt(prompt).hash);
          },
          [] {});
  }

  // The draw of a source, or one for each part of the collection, the first ones taking the remainder of `count`.
  std::vector<prompt_sampler> make_draws(const prompt_source_settings& source, prompt_counts& counts) const {
    const auto all = source.count.value_or(std::numeric_limits<std::size_t>::max());
    if (source.parts.empty()) return {prompt_sampler(seed_, source.name, all)};
    std::vector<prompt_sampler> out;
    for (std::size_t i = 0; i < source.parts.size(); ++i) {
      const std::size_t parts = source.parts.size();
      const std::size_t share = source.count ? all / parts + (i < all % parts ? 1 : 0) : all;
      out.emplace_back(seed_, source.name + "." + source.parts[i], share);
      counts.parts.push_back({.name = source.parts[i]});
      if (source.count) counts.parts.back().asked = share;
    }
    return out;
  }

  // Why the prompt is removed, or nothing if it is drawn for now.
  std::optional<prompt_removal> add(source_prompt read, const prompt_source_settings& source,
                                    std::vector<prompt_sampler>& draws, prompt_counts& counts) {
    std::size_t which = 0;
    if (!source.parts.empty()) {
      which = static_cast<std::size_t>(std::ranges::find(source.parts, read.part) - source.parts.begin());
      if (which == source.parts.size()) return prompt_removal::part;
      ++counts.parts[which].read;
    }
    prompt_sampler& draw = draws[which];
    if (read.removed) return read.removed;
    if (!source.categories.empty() && std::ranges::find(source.categories, read.category) == source.categories.end())
      return prompt_removal::category;
    const auto [characters, unreadable, hash] = clean_prompt(read);
    prompt_record& prompt = read.prompt;
    // One may be half an emoji, cut by the source.
    if (unreadable > 1 && 20 * unreadable > characters) return prompt_removal::damaged;
    if (prompt.instruction.empty()) return prompt_removal::empty;

    const std::string text = prompt.text();
    if (source.leave_out_inference && is_inference_question(text)) return prompt_removal::inference;
    if (excluded_.contains(hash)) return prompt_removal::excluded;
    if (!seen_.insert(hash)) return prompt_removal::duplicate;
    // Prompts that can no longer be drawn are not measured: most, in a large source.
    if (!draw.accepts(hash)) return prompt_removal::not_drawn;
    const std::size_t tokens = tokenizer_->encode(text).size();
    if (tokens < settings_.minimum_tokens) return prompt_removal::too_short;
    if (settings_.maximum_tokens > 0 && tokens > settings_.maximum_tokens) return prompt_removal::too_long;
    const std::string found = cld2_language{}(text);
    if (found != cld2_language::unknown || prompt.language.empty()) prompt.language = found;
    if (!is_wanted(prompt.language, source.languages)) return prompt_removal::language;

    counts.repaired += unreadable > 0;
    prompt.source = source.name;
    if (source.type) prompt.type = *source.type;
    if (source.length_bonus)
      prompt.length_bonus = source.length_bonus;
    else if (prompt.type == prompt_type::reasoning && !prompt.length_bonus)
      prompt.length_bonus = settings_.reasoning_length_bonus;
    const auto place = spool_.append(to_json(prompt).dump());
    const bool displaced = draw.add({.hash = hash,
                                     .offset = place.offset,
                                     .size = place.size,
                                     .language = language_number(prompt.language),
                                     .source = static_cast<std::uint16_t>(counts_.size() - 1)});
    if (displaced) ++counts.of(prompt_removal::not_drawn);
    return std::nullopt;
  }

  // Prompts hold a number in place of the language's name, to save memory.
  std::uint16_t language_number(const std::string& language) {
    const auto found = std::ranges::find(languages_, language);
    const auto number = found - languages_.begin();
    require_argument(number <= std::numeric_limits<std::uint16_t>::max(), "the prompts state too many languages");
    if (found == languages_.end()) languages_.push_back(language);
    return static_cast<std::uint16_t>(number);
  }

  const prompt_set_settings& settings_;
  std::vector<fs::path> written_;
  std::shared_ptr<const text_tokenizer> tokenizer_;
  spool_file spool_;
  std::uint64_t seed_;
  hash_set seen_;
  std::unordered_set<std::uint64_t> excluded_;
  std::vector<std::string> languages_;
  drawn_prompts drawn_;
  std::vector<prompt_counts> counts_;
};

// Warns of each source and part that has fewer prompts than asked for; argument_error with `require_counts`.
void check_counts(const prompt_set_settings& settings, const std::vector<prompt_counts>& counts,
                  const std::string& section, stage_context& context) {
  for (const auto& source : counts) {
    const auto key = section + ".source." + source.name + ".count";
    const auto say = [&](const std::string& who, std::size_t kept, std::size_t asked) {
      const auto what = who + ": " + std::to_string(kept) + " prompts remain of the " + std::to_string(asked) +
                        " that " + key + " asks for";
      require_argument(!settings.require_counts, what);
      context.log("warning: " + what);
    };
    if (source.parts.empty()) {
      if (source.short_by() > 0) say("source " + source.name, source.kept, *source.asked);
    }
    for (const auto& part : source.parts)
      if (part.asked && part.drawn < *part.asked)
        say("source " + source.name + ", part " + part.name, part.drawn, *part.asked);
  }
}

// Whether an earlier run had ended: the counts are written last.
bool all_exist(const std::vector<fs::path>& written) {
  return std::ranges::all_of(written, [](const auto& path) { return fs::exists(path); });
}

// config_error where a source or an excluded file is one that this run writes.
void refuse_own_files(const prompt_set_settings& settings, const std::string& name,
                      const std::vector<fs::path>& written) {
  const auto check = [&](const std::string& key, const fs::path& path) {
    for (const auto& own : written)
      if (fs::exists(own) && fs::exists(path) && fs::equivalent(own, path))
        throw config_error(name + "." + key + " = " + path.string() + " is the file that is to be written");
  };
  for (const auto& source : settings.sources) check("source." + source.name + ".path", source.path);
  for (const auto& path : settings.exclude) check("exclude", path);
}

struct prompts_choice {
  bool rl = false;

  static void describe(auto&& visit, auto&... o) {
    visit({"rl", "for prompts: whether to read the section rl_prompts, of RL's prompts, in place of prompts"}, o.rl...);
  }
};

class prompts_stage : public stage {
 public:
  prompts_stage(const config& options, stage_context& context)
      : name_(read_section<prompts_choice>(options).rl ? "rl_prompts" : "prompts"),
        out_(context.out_or(name_ == "prompts" ? "preference_prompts.jsonl" : "rl_prompts.jsonl")),
        settings_(read_prompt_set_settings(options, name_, out_)),
        counts_path_(fs::path(out_).replace_extension(".counts.json")),
        written_{out_, counts_path_} {
    if (settings_.held_out > 0) written_.push_back(settings_.held_out_file);
  }

  bool finished(stage_context& context) const override {
    if (!all_exist(written_)) return false;
    context.log(out_.string() + ": this run had ended; there is nothing to resume");
    return true;
  }

  void load(const config&, stage_context&) override {
    refuse_own_files(settings_, name_, written_);
    // A missing one is reported before the others are read.
    for (const auto& source : settings_.sources)
      if (source.count != 0u) jsonl_reader(list_data_files(source.path, written_).front());
  }

  void run(stage_context& context) override {
    // The counts are written last: if all files exist, the run had ended.
    fs::remove(counts_path_);
    jsonl_writer writer(out_, false);
    std::optional<jsonl_writer> held_out;
    if (settings_.held_out > 0) held_out.emplace(settings_.held_out_file, false);
    prompt_collection prompts(settings_, written_, context.seed);
    auto bar = context.start_progress(name_, 0, "records");
    for (const auto& source : settings_.sources)
      if (source.count != 0u) prompts.read(source, context, bar);
    const auto total = sum_counts(prompts.counts());
    check_counts(settings_, prompts.counts(), name_, context);
    require_argument(total.kept > 0, "no prompt remains of " + std::to_string(total.read) + " records: see " + name_ +
                                         ".minimum_tokens, .maximum_tokens and .languages");
    require_argument(total.kept > settings_.held_out, name_ + ".held_out = " + std::to_string(settings_.held_out) +
                                                          " leaves none of the " + std::to_string(total.kept) +
                                                          " prompts that remain");
    prompts.write(writer, held_out ? &*held_out : nullptr, context);
    if (held_out) held_out->finish();
    writer.finish();
    write_file(counts_path_,
               counts_json(prompts.counts(), context.seed).dump(2, ' ', false, json::error_handler_t::replace) + "\n");
    bar.finish(std::to_string(total.kept - settings_.held_out) + " prompts → " + out_.string() +
               (held_out ? ", " + std::to_string(settings_.held_out) + " held out → " + settings_.held_out_file.string()
                         : std::string()));
    std::cout << format_counts_table(prompts.counts());
  }

 private:
  std::string name_;
  fs::path out_;
  prompt_set_settings settings_;
  fs::path counts_path_;
  std::vector<fs::path> written_;
};

}  // namespace

void run_prompts(const config& options, stage_context& context) { run_stage<prompts_stage>(options, context); }

subcommand make_prompts_command() {
  return {.name = "prompts",
          .help = "prepare a set of prompts out of other people's collections",
          .run = run_prompts,
          .flags = {{.name = "--rl", .key = "rl", .fixed_value = "true"},
                    {"--model", "model.path", "folder of the model whose tokenizer counts tokens"}},
          .options = {section_options("", prompts_choice{}), prompt_set_section("prompts"),
                      prompt_set_section("rl_prompts"), model_section()},
          .variants = {{"rl_prompts", "--rl", "rl"}}};
}

}  // namespace coho::trainer
