#include "program/stage_options.hpp"

#include <algorithm>
#include <utility>

#include "run/stage_context.hpp"

namespace coho::trainer {

std::vector<listed_option> options_of(const subcommand& stage) {
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

}  // namespace coho::trainer
