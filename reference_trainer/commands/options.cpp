#include "commands/options.hpp"

#include <algorithm>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <coho/error.hpp>

#include "config/read_options.hpp"
#include "config/spelling.hpp"
#include "observe/format.hpp"
#include "program/stage_options.hpp"
#include "run/stage.hpp"

namespace coho::trainer {

namespace {

struct listing_options {
  std::vector<std::string> stages{};
  bool markdown = false;

  static void describe(auto&& visit, auto&... o) {
    visit(otherwise("all sections", {"stages", "stages, or sections of recipes, whose options are listed"}),
          o.stages...);
    visit({"markdown", "whether they are written as tables of Markdown"}, o.markdown...);
  }
};

// The flags of every stage, as --help lists them.
std::string flag_list() {
  constexpr std::size_t column = 28, width = 72;
  std::string out = "== flags of every stage\n\n";
  for (const auto& flag : common_flags()) {
    std::string before = flag.names + (flag.value.empty() ? "" : " " + flag.value);
    for (const auto& line : wrap_text(flag.help, width)) {
      before.resize(column, ' ');
      out += std::exchange(before, {}) + line + "\n";
    }
  }
  return out;
}

class options_stage : public stage {
 public:
  options_stage(const config& options, const std::vector<subcommand>& stages)
      : read_(read_section<listing_options>(options.section("options"))) {
    const auto all = all_sections(stages);
    std::vector<std::string> known;
    for (const auto& one : stages) known.push_back(one.name);
    for (const auto& section : all) known.push_back(section.name);
    if (read_.stages.empty()) listed_ = all;
    for (const auto& name : read_.stages) {
      std::string stage = name;
      std::ranges::replace(stage, '_', '-');  // the section self_align is that of the stage self-align
      const auto command = std::ranges::find(stages, stage, &subcommand::name);
      const auto section = std::ranges::find(all, name, &option_section::name);
      const auto meant = nearest(name, known);
      options.check(command != stages.end() || section != all.end(), "options.stages",
                    "stages, or sections of recipes" + (meant.empty() ? "" : "; did you mean " + meant + "?"));
      if (command != stages.end()) {
        if (listed_.empty()) listed_.push_back(all.front());
        for (const auto& own : command->options)
          if (!own.name.empty()) listed_.push_back(own);
      } else {
        listed_.push_back(*section);
      }
    }
  }

  void run(stage_context&) override {
    if (!read_.markdown) std::cout << flag_list() << "\nAll other options are keys of a recipe, and of --set.\n\n";
    for (const auto& section : listed_) {
      if (listed_.size() > 1 || !read_.markdown)
        std::cout << (read_.markdown ? "### " : "== ") << section.name << "\n\n";
      std::cout << (read_.markdown ? option_markdown(section.options, section.presets) : option_table(section.options))
                << (listed_.size() > 1 || !read_.markdown ? "\n" : "");
    }
  }

 private:
  listing_options read_;
  std::vector<option_section> listed_;
};

}  // namespace

subcommand make_options_command(std::vector<subcommand> stages) {
  return {.name = "options",
          .help = "list the options of stages: keys, defaults, allowed values, meanings",
          .run =
              [stages = std::move(stages)](const config& options, stage_context& context) {
                options_stage work(options, stages);
                run_in_order(work, options, context);
              },
          .flags = {{.name = "stages", .key = "options.stages", .repeatable = true},
                    {.name = "--markdown", .key = "options.markdown", .fixed_value = "true"}},
          .options = {section_options("options", listing_options{})},
          .group = "Use"};
}

}  // namespace coho::trainer
