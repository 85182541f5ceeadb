#include "program/stage_options.hpp"

#include <algorithm>
#include <filesystem>
#include <string>

#include "commands/commands.hpp"
#include "demo/demo.hpp"
#include "files/read_file.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;

namespace {

// What stands in a page between the markers of a section's table.
std::string table_in(const std::string& page, const std::string& section) {
  const std::string begin = "<!-- options: " + section + " -->\n", end = "<!-- end of options -->";
  const auto from = page.find(begin);
  if (from == std::string::npos) return {};
  return page.substr(from + begin.size(), page.find(end, from) - from - begin.size());
}

}  // namespace

TEST_CASE("stage_options: the tables of docs/trainer.md are those of the descriptions") {
  const auto page = read_file(std::filesystem::path(COHO_SOURCE_DIR) / "docs/trainer.md");
  for (const auto& section : all_sections(stage_commands())) {
    if (section.name == "rl_prompts") continue;  // the same as prompts
    INFO("coho options " << section.name << " --markdown");
    CHECK(table_in(page, section.name) == option_markdown(section.options, section.presets));
  }
}

TEST_CASE("stage_options: no key is listed twice, and what a recipe may leave to the run says so") {
  auto stages = stage_commands();
  stages.push_back(make_demo_command());
  for (const auto& stage : stages) {
    auto all = stage_options(stage);
    INFO(stage.name);
    CHECK_FALSE(all.empty());
    std::ranges::sort(all, {}, &listed_option::key);
    CHECK(std::ranges::adjacent_find(all, {}, &listed_option::key) == all.end());
    for (const auto& option : all) CHECK_FALSE(option.meaning.empty());
  }
  for (const auto& option : stage_options(make_reward_command()))
    if (option.key == "reward.learning_rate.warmup_steps") CHECK(option.defaults.front() == "0.03");
}

TEST_CASE("stage_options: every flag sets a key that is described") {
  auto stages = stage_commands();
  stages.push_back(make_demo_command());
  stages.push_back(make_demo_base_command());
  for (const auto& stage : stages) {
    const auto all = stage_options(stage);
    for (const auto& flag : stage.flags) {
      INFO(stage.name << " " << flag.name << " " << flag.key);
      CHECK(std::ranges::find(all, flag.key, &listed_option::key) != all.end());
    }
  }
}
