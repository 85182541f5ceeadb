#include "settings/prompt_set_settings.hpp"

#include <algorithm>

#include "config/read_options.hpp"
#include "settings/model_settings.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// One [[prompts.source]]; `languages`: those of the section, unless the source has its own.
prompt_source_settings read_prompt_source(const std::string& name, const config& section,
                                          const std::vector<std::string>& languages) {
  auto out = read_section<prompt_source_settings>(section, {.languages = languages});
  out.name = name;
  return out;
}

// A name without a folder is a file next to `out`.
fs::path path_next_to(const fs::path& out, const fs::path& name) {
  return name.has_parent_path() ? name : out.parent_path() / name;
}

}  // namespace

void prompt_source_settings::resolve(const config& section) {
  check_columns(section, columns, prompt_columns);
  for (const auto known : prompt_types)
    if (option_names(question_type)[static_cast<std::size_t>(question_type)] == name_of(known)) type = known;
  for (std::size_t i = 0; i < parts.size(); ++i)
    section.check(
        !parts[i].empty() && std::ranges::find(parts, parts[i]) == parts.begin() + static_cast<std::ptrdiff_t>(i),
        "parts", "a list of different names, such as those in front of the point of an id \"cot.1234\"");
}

void prompt_set_settings::check_constraints(const config& section) const {
  section.check(maximum_tokens == 0 || maximum_tokens >= std::max<std::size_t>(minimum_tokens, 1), "maximum_tokens",
                "at least 1 and minimum_tokens, or 0 (no limit)");
  section.check(!held_out_name.empty(), "held_out_file", "the name of a file");
}

option_section prompt_set_section(const std::string& name) {
  option_section out = section_options(name, prompt_set_settings{});
  list_options(out.options, name + ".source.NAME.", {}, prompt_source_settings{});
  return out;
}

prompt_set_settings read_prompt_set_settings(const config& options, const std::string& name, const fs::path& set) {
  const config section = options.section(name);
  const std::string default_name = set.stem().string() + "_held_out.jsonl";
  auto out = read_section<prompt_set_settings>(section, {.held_out_name = default_name});
  // The section `model` belongs to another stage unless needed.
  if (out.tokenizer.empty()) out.tokenizer = read_model_settings(options).path;
  section.check(!out.tokenizer.empty(), "tokenizer", "given where there is no model.path");
  if (out.held_out > 0) out.held_out_file = path_next_to(set, out.held_out_name);
  refuse_unused(section, "held_out_file", out.held_out == 0 && out.held_out_name != default_name, "held_out",
                "while held_out is 0");
  section.check(out.held_out == 0 || out.held_out_file != set, "held_out_file", "another file than --out");
  for (const auto& [source, keys] : section.named_sections("source"))
    out.sources.push_back(read_prompt_source(source, keys, out.languages));
  if (out.sources.empty())
    throw config_error(name + ".source is not given; expected at least one [[" + name +
                       ".source]] with name and path in the recipe");
  const bool some = std::ranges::any_of(out.sources, [](const auto& source) { return source.count != 0u; });
  section.check(some, "source." + out.sources.front().name + ".count",
                "at least 1, here or in another source: a source with 0 is left out, and none remains");
  return out;
}

}  // namespace coho::trainer
