#include "stages/self_align_settings.hpp"

#include <algorithm>
#include <array>

#include <coho/error.hpp>

#include "data/exemplar_file.hpp"
#include "data/principle_file.hpp"
#include "data/template_file.hpp"
#include "observe/table.hpp"
#include "files/data_files.hpp"
#include "stages/plan_text.hpp"
#include "stages/prompting.hpp"

namespace coho::trainer {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t default_new_tokens = 640;

std::vector<token> with_begin(const sentencepiece_tokenizer& tokenizer, const std::string& text) {
  std::vector<token> out = tokenizer.begin_tokens();
  for (const token id : tokenizer.encode(text)) out.push_back(id);
  return out;
}

}  // namespace

self_align_settings read_self_align_settings(const config& options, bool may_lack_files) {
  const config section = options.section("self_align");
  self_align_settings out;
  out.prompts = section.require<fs::path>("prompts", "the file of prompts");
  out.adapter = options.get<fs::path>("model.adapter", {});
  out.rejected = section.get<std::string>("rejected", "");  // no path of a file that is read
  const auto rules = principle_file(section.get<fs::path>("rules", shipped("principles/self_align.json")));
  const auto exemplars = section.get<fs::path>("exemplars", shipped("prompts/self_align_exemplars.json"));
  const auto wording = section.get<fs::path>("template", shipped("prompts/self_align.txt"));
  out.batch = section.get<std::size_t>("batch", out.batch);
  out.limit = section.get<std::size_t>("limit", 0);
  out.max_question_tokens = section.get<std::size_t>("max_question_tokens", 0);
  section.check(out.batch > 0, "batch", "at least 1");
  out.model = read_model_settings(options);
  out.engine = read_engine(options);
  out.engine.slots = section.get<std::int64_t>("slots", out.engine.slots);
  section.check(out.engine.slots > 0, "slots", "at least 1");
  out.generation =
      read_generation(options, std::vector<std::string>{}, {.max_new_tokens = default_new_tokens, .temperature = 0.7});
  out.generation.max_new_tokens = section.get<std::size_t>("max_new_tokens", out.generation.max_new_tokens);
  section.check(out.generation.max_new_tokens > 0, "max_new_tokens", "at least 1");
  // Of its own: `ppo`, which shares the section `generation`, refuses any other than 1.
  out.generation.top_p = section.get<double>("top_p", out.generation.top_p);
  section.check(out.generation.top_p > 0 && out.generation.top_p <= 1, "top_p", "above 0 and at most 1");
  const auto stops = section.get<std::vector<std::string>>("stop", {});
  for (const auto& stop : stops) section.check(!stop.empty(), "stop", "a list of texts that are not empty");
  if (!may_lack_files || !(not_there(rules) || not_there(exemplars) || not_there(wording))) {
    out.rules = load_principles(rules);
    out.prompt.emplace(load_template(template_kind::self_align, wording), out.rules, load_exemplars(exemplars));
    out.generation.stop = {out.prompt->stop()};
  }
  out.generation.stop.insert(out.generation.stop.end(), stops.begin(), stops.end());
  out.filters = read_self_align_filters(options, out.prompt ? out.prompt->opening() : "");
  return out;
}

self_align_encoder::self_align_encoder(const self_align_prompt& prompt, const sentencepiece_tokenizer& tokenizer)
    : prompt_(&prompt), tokenizer_(&tokenizer), prefix_(with_begin(tokenizer, prompt("A"))) {
  // Beginnings of every kind: whatever a tokenizer joins with the text in front shows up in one of them.
  constexpr std::array<std::string_view, 16> beginnings{"the", "Why", "0", " ",  "\n", "\t", "\"", "(",
                                                        "#",   "-",   "é", "你", "д",  "ع",  "“",  "🦙"};
  for (const auto beginning : beginnings) {
    const auto other = with_begin(tokenizer, prompt(beginning));
    prefix_.erase(std::ranges::mismatch(prefix_, other).in1, prefix_.end());
  }
}

std::vector<token> self_align_encoder::operator()(std::string_view question) const {
  return with_begin(*tokenizer_, (*prompt_)(question));
}

bool self_align_encoder::begins_with_prefix(std::span<const token> tokens) const {
  return tokens.size() > prefix_.size() && std::equal(prefix_.begin(), prefix_.end(), tokens.begin());
}

self_align_room measure_room(const config& options, const self_align_settings& settings, std::size_t prefix,
                             std::size_t positions) {
  const auto numbers = "the rules and exemplars take " + std::to_string(prefix) + " tokens of the model's " +
                       std::to_string(positions) + " positions";
  if (prefix >= positions)
    throw config_error("self_align.exemplars: " + numbers +
                       "; give fewer or shorter ones, or a model of a longer context");
  const std::size_t left = positions - prefix;
  options.check(settings.generation.max_new_tokens < left, "self_align.max_new_tokens",
                "below " + std::to_string(left) + ", as " + numbers);
  const std::size_t question = left - settings.generation.max_new_tokens;
  return {.prefix = prefix,
          .question = settings.max_question_tokens > 0 ? std::min(question, settings.max_question_tokens) : question,
          .positions = positions};
}

std::optional<self_align_room> measure_room(const config& options, const self_align_settings& settings) {
  const auto shape = find_model_config(settings.model);
  if (!shape || not_there(settings.model.path / "tokenizer.model")) return std::nullopt;
  const auto tokenizer = sentencepiece_tokenizer::from_file(settings.model.path);
  return measure_room(options, settings, self_align_encoder(*settings.prompt, tokenizer).prefix().size(),
                      static_cast<std::size_t>(shape->max_position_embeddings));
}

std::string describe_self_align(const config& options, const self_align_settings& settings) {
  if (!settings.prompt) return "No figures of the prefix: rules, exemplars or template are not there.";
  const auto room = measure_room(options, settings);
  if (!room)
    return "The prefix of all prompts has " + std::to_string(settings.prompt->prefix().size()) +
           " bytes; its tokens cannot be told without the model's tokenizer.model and config.json.";
  const auto shape = find_model_config(settings.model);
  const double width = settings.model.compute == compute_type::bfloat16 ? 2 : 4;
  const double bytes = 2 * width * static_cast<double>(shape->num_hidden_layers) *
                       static_cast<double>(shape->num_key_value_heads * shape->head_dim) *
                       static_cast<double>(room->prefix);
  return "The prefix of all prompts has " + std::to_string(room->prefix) + " tokens (" +
         std::to_string(settings.prompt->exemplars().size()) + " exemplars); its keys and values take " +
         format_bytes(bytes) + ", once.\nOf " + std::to_string(room->positions) + " positions a question may take " +
         std::to_string(room->question) + ", thoughts and answer " +
         std::to_string(settings.generation.max_new_tokens) + ".";
}

std::function<std::string()> plan_self_align(const config& options, const self_align_settings& settings,
                                             const stage_context& context) {
  generation_plan stage{.adapter = settings.adapter,
                        .batch = settings.batch,
                        .query_tokens = settings.max_question_tokens,
                        .max_new_tokens = settings.generation.max_new_tokens,
                        .engine = settings.engine};
  static_cast<void>(plan_generation(options, stage, context));  // declares its keys
  return [options, &settings, &context, stage]() mutable {
    const auto room = settings.prompt ? measure_room(options, settings) : std::nullopt;
    // Where the tokenizer is not there, four bytes a token.
    stage.prefix_tokens = room ? room->prefix : settings.prompt ? settings.prompt->prefix().size() / 4 : 0;
    return describe_self_align(options, settings) + "\n\n" + plan_generation(options, stage, context)();
  };
}

}  // namespace coho::trainer
