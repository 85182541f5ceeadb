#include "settings/prompt_set_settings.hpp"

#include <algorithm>

#include "settings/model_settings.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

prompt_source_settings read_source_section(const std::string& name, const config& section,
                                           const std::vector<std::string>& languages) {
  prompt_source_settings out{.name = name, .path = section.require<fs::path>("path", "a file or a folder of prompts")};
  out.count = section.find<std::size_t>("count");
  const auto type = section.choice("question_type", "of_record", {"of_record", "general", "reasoning", "red_teaming"});
  for (const auto known : prompt_types)
    if (type == name_of(known)) out.type = known;
  out.length_bonus = section.find<double>("length_bonus");
  out.languages = section.get<std::vector<std::string>>("languages", languages);
  out.categories = section.get<std::vector<std::string>>("categories", {});
  out.parts = section.get<std::vector<std::string>>("parts", {});
  for (std::size_t i = 0; i < out.parts.size(); ++i)
    section.check(!out.parts[i].empty() &&
                      std::ranges::find(out.parts, out.parts[i]) == out.parts.begin() + static_cast<std::ptrdiff_t>(i),
                  "parts", "a list of different names, such as those in front of the point of an id \"cot.1234\"");
  out.leave_out_inference = section.get<bool>("leave_out_inference", false);
  return out;
}

// A name without a folder is a file next to `out`.
fs::path next_to(const fs::path& out, const fs::path& name) {
  return name.has_parent_path() ? name : out.parent_path() / name;
}

}  // namespace

prompt_set_settings read_prompt_set_settings(const config& options, const std::string& name, const fs::path& set) {
  const config section = options.section(name);
  prompt_set_settings out;
  out.tokenizer = section.get<fs::path>("tokenizer", {});
  // The section `model` belongs to another stage unless needed.
  if (out.tokenizer.empty()) out.tokenizer = read_model_settings(options).path;
  section.check(!out.tokenizer.empty(), "tokenizer", "given where there is no model.path");
  out.minimum_tokens = section.get<std::size_t>("minimum_tokens", out.minimum_tokens);
  out.maximum_tokens = section.get<std::size_t>("maximum_tokens", out.maximum_tokens);
  section.check(out.maximum_tokens == 0 || out.maximum_tokens >= std::max<std::size_t>(out.minimum_tokens, 1),
                "maximum_tokens", "at least 1 and minimum_tokens, or 0 (no limit)");
  out.held_out = section.get<std::size_t>("held_out", 0);
  const auto held_out_name = section.get<std::string>("held_out_file", set.stem().string() + "_held_out.jsonl");
  section.check(!held_out_name.empty(), "held_out_file", "the name of a file");
  if (out.held_out > 0) out.held_out_file = next_to(set, held_out_name);
  section.check(out.held_out == 0 || out.held_out_file != set, "held_out_file", "another file than --out");
  out.exclude = section.get<std::vector<fs::path>>("exclude", {});
  out.require_counts = section.get<bool>("require_counts", out.require_counts);
  out.reasoning_length_bonus = section.find<double>("reasoning_length_bonus");
  const auto languages = section.get<std::vector<std::string>>("languages", {});
  for (const auto& [source, keys] : section.named_sections("source"))
    out.sources.push_back(read_source_section(source, keys, languages));
  if (std::ranges::all_of(out.sources, [](const auto& source) { return source.count == 0u; }))
    throw config_error(name + ".source is not given; expected at least one [[" + name +
                       ".source]] with name and path in the recipe");
  return out;
}

}  // namespace coho::trainer
