#include "settings/stage_options.hpp"

#include <algorithm>
#include <filesystem>
#include <string>

#include "files/atomic_file.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;

namespace {

// What stands in a page between the markers of a stage's table.
std::string table_in(const std::string& page, const std::string& stage) {
  const std::string begin = "<!-- options: " + stage + " -->\n", end = "<!-- end of options -->";
  const auto from = page.find(begin);
  if (from == std::string::npos) return {};
  return page.substr(from + begin.size(), page.find(end, from) - from - begin.size());
}

}  // namespace

TEST_CASE("stage_options: the tables of docs/trainer.md are those of the descriptions") {
  const auto page = read_file(std::filesystem::path(COHO_SOURCE_DIR) / "docs/trainer.md");
  for (const auto& stage : stages_with_options()) {
    INFO("coho options " << stage << " --markdown");
    CHECK(table_in(page, stage) == option_markdown(stage_options(stage), stage_presets(stage)));
  }
}

TEST_CASE("stage_options: no key is listed twice, and what a recipe may leave to the run says so") {
  for (const auto& stage : stages_with_options()) {
    auto all = stage_options(stage);
    INFO(stage);
    std::ranges::sort(all, {}, &listed_option::key);
    CHECK(std::ranges::adjacent_find(all, {}, &listed_option::key) == all.end());
    for (const auto& option : all) CHECK_FALSE(option.meaning.empty());
  }
  for (const auto& option : stage_options("reward"))
    if (option.key == "reward.learning_rate.warmup_steps") CHECK(option.defaults.front() == "0.03");
  CHECK(stage_options("chat").empty());
}
