#include <iostream>
#include <string>
#include <vector>

#include "commands/commands.hpp"
#include "config/spelling.hpp"
#include "settings/stage_options.hpp"

namespace coho::trainer {

void run_options(const config& options, stage_context& context) {
  const auto stages = options.get<std::vector<std::string>>("options.stages", stages_with_options());
  const bool markdown = options.get<bool>("options.markdown", false);
  for (const auto& stage : stages) {
    const auto meant = nearest(stage, stages_with_options());
    options.check(!stage_options(stage).empty(), "options.stages",
                  "a list of self_align, sft, reward, preference_pretraining, ppo, aggregate" +
                      (meant.empty() ? "" : "; did you mean " + meant + "?"));
  }
  if (!context.begin(options)) return;
  for (const auto& stage : stages) {
    const auto all = stage_options(stage);
    if (stages.size() > 1) std::cout << (markdown ? "### " : "== ") << stage << "\n\n";
    std::cout << (markdown ? option_markdown(all, stage_presets(stage)) : option_table(all))
              << (stages.size() > 1 ? "\n" : "");
  }
}

subcommand make_options_command() {
  return {.name = "options",
          .help = "list the options of stages: keys, defaults, allowed values, meanings",
          .run = run_options,
          .flags = {{.name = "stages",
                     .key = "options.stages",
                     .help = "stages: self_align, sft, reward, preference_pretraining, ppo, aggregate",
                     .repeatable = true},
                    {.name = "--markdown",
                     .key = "options.markdown",
                     .help = "as tables of Markdown",
                     .fixed_value = "true"}},
          .sections = {"options"},
          .group = "Use"};
}

}  // namespace coho::trainer
