#include "program/recipe_stages.hpp"

#include <algorithm>

namespace coho::trainer {

std::vector<recipe_stage> recipe_stages(const config& recipe, const std::vector<subcommand>& commands) {
  const auto sections = recipe.keys();
  const auto holds = [&](std::string name) {
    std::ranges::replace(name, '-', '_');  // the stage self-align has the section self_align
    return std::ranges::find(sections, name) != sections.end();
  };
  std::vector<recipe_stage> out;
  for (const auto& command : commands) {
    // The demo passes file names to the sections of the other stages.
    if (holds("demo") && command.name != "demo") continue;
    for (const auto& variant : command.variants)
      if (holds(variant.section)) out.push_back({&command, &variant});
    if (holds(command.name)) out.push_back({&command});
  }
  return out;
}

void require_reader_of_overrides(const config& options, const std::vector<recipe_stage>& stages,
                                 const std::vector<subcommand>& commands) {
  for (const auto& [key, place] : options.overrides()) {
    const auto section = key.substr(0, key.find('.'));
    const auto reads = [&](const subcommand& command) {
      const auto sections = command.sections();
      return std::ranges::find(sections, section) != sections.end();
    };
    if (std::ranges::any_of(commands, reads) &&
        std::ranges::none_of(stages, [&](const recipe_stage& stage) { return reads(*stage.command); }))
      throw config_error(place + ": " + key + " has no effect here: no stage of the recipe reads the section " +
                         section);
  }
}

}  // namespace coho::trainer
