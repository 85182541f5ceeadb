#include <iostream>
#include <string>
#include <vector>

#include "commands/commands.hpp"
#include "config/spelling.hpp"
#include "run/stage.hpp"
#include "settings/stage_options.hpp"

namespace coho::trainer {

namespace {

std::string listed_stages() {
  std::string out;
  for (const auto& one : stages_with_options()) out += (out.empty() ? "" : ", ") + one;
  return out;
}

class options_stage : public stage {
 public:
  options_stage(const config& options, stage_context&)
      : stages_(options.get<std::vector<std::string>>("options.stages", stages_with_options())),
        markdown_(options.get<bool>("options.markdown", false)) {
    for (const auto& one : stages_) {
      const auto meant = nearest(one, stages_with_options());
      options.check(!stage_options(one).empty(), "options.stages",
                    "a list of " + listed_stages() + (meant.empty() ? "" : "; did you mean " + meant + "?"));
    }
  }

  void run(stage_context&) override {
    for (const auto& one : stages_) {
      const auto all = stage_options(one);
      if (stages_.size() > 1) std::cout << (markdown_ ? "### " : "== ") << one << "\n\n";
      std::cout << (markdown_ ? option_markdown(all, stage_presets(one)) : option_table(all))
                << (stages_.size() > 1 ? "\n" : "");
    }
  }

 private:
  std::vector<std::string> stages_;
  bool markdown_;
};

}  // namespace

void run_options(const config& options, stage_context& context) { run_stage<options_stage>(options, context); }

subcommand make_options_command() {
  return {
      .name = "options",
      .help = "list the options of stages: keys, defaults, allowed values, meanings",
      .run = run_options,
      .flags =
          {{.name = "stages", .key = "options.stages", .help = "stages: " + listed_stages(), .repeatable = true},
           {.name = "--markdown", .key = "options.markdown", .help = "as tables of Markdown", .fixed_value = "true"}},
      .sections = {"options"},
      .group = "Use"};
}

}  // namespace coho::trainer
