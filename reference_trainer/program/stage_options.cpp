#include "program/stage_options.hpp"

#include <algorithm>
#include <utility>

#include <coho/error.hpp>

#include "run/stage_context.hpp"

namespace coho::trainer {

std::vector<listed_option> stage_options(const subcommand& stage) {
  std::vector<listed_option> out;
  for (const auto& section : stage.options) out.insert(out.end(), section.options.begin(), section.options.end());
  return out;
}

std::vector<option_section> all_sections(const std::vector<subcommand>& stages) {
  std::vector<std::string> names;
  for (const auto& stage : stages)
    for (const auto& section : stage.options)
      if (!section.name.empty() && std::ranges::find(names, section.name) == names.end()) names.push_back(section.name);
  std::vector<option_section> out;
  out.push_back(section_options("", general_options{}));
  out.back().name = "general";
  for (const auto& stage : stages)
    for (const auto& section : stage.options)
      if (section.name.empty())
        out.back().options.insert(out.back().options.end(), section.options.begin(), section.options.end());
  for (const auto& name : names) {
    std::vector<std::pair<std::string, option_section>> forms;
    for (const auto& stage : stages)
      for (const auto& section : stage.options)
        if (section.name == name && !section.partial) forms.emplace_back(stage.name, section);
    if (forms.size() == 1) {
      out.push_back(std::move(forms.front().second));
    } else if (!forms.empty()) {
      out.push_back(joined_section(forms));
    }
  }
  return out;
}

const std::vector<common_flag>& common_flags() {
  static const std::vector<common_flag> flags = [] {
    const option_section general = section_options("", general_options{});
    const auto meaning = [&](std::string_view key) { return general.find(key)->meaning; };
    return std::vector<common_flag>{
        {"-c,--config", "FILE", "recipe: a TOML file, or the name of a built-in one"},
        {"--set", "KEY=VALUE", "sets a key, over the recipe; may be repeated"},
        {"--out", "PATH", meaning("out")},
        {"--seed", "N", meaning("seed")},
        {"--threads", "N", meaning("threads")},
        {"--device", "NAME", meaning("device")},
        {"--resume", "", "go on from where an interrupted run stopped"},
        {"--dry-run", "", "print the resolved recipe and a plan of memory and time, and stop"},
        {"--skip-bad", "", "pass over records that cannot be used, with a note each, instead of stopping"},
        {"-q,--quiet", "", "no progress and no log lines"}};
  }();
  return flags;
}

const common_flag& find_common_flag(std::string_view names) {
  const auto& flags = common_flags();
  const auto found = std::ranges::find(flags, names, &common_flag::names);
  require_argument(found != flags.end(), "no common flag " + std::string(names));
  return *found;
}

std::map<std::string, shared_key> shared_keys(const std::vector<subcommand>& stages) {
  std::map<std::string, shared_key> out;
  for (const auto& stage : stages) {
    for (const auto& option : stage_options(stage)) {
      auto& entry = out[option.key];
      if (entry.readers != stage.name && !entry.readers.ends_with(", " + stage.name))
        entry.readers += (entry.readers.empty() ? "" : ", ") + stage.name;
      if (!entry.check)
        entry.check = [option](const config& recipe) { option.check(recipe, option.key, option.range); };
    }
  }
  return out;
}

}  // namespace coho::trainer
