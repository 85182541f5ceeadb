#include "run/stage.hpp"

#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <coho/error.hpp>

#include "run/report_error.hpp"
#include "support/catch.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using steps = std::vector<std::string>;

namespace {

// What a stage was asked for, in order.
steps asked;

class recording_stage : public stage {
 public:
  recording_stage(const config& options, stage_context& context)
      : size_(options.get<int>("stage.size", 1)), ended_(options.get<bool>("stage.ended", false)), out_(context.out) {
    asked.emplace_back("read");
  }
  void check(const config& options, stage_context&) override {
    asked.emplace_back("check");
    options.check(size_ > 0, "stage.size", "at least 1");
  }
  std::function<std::string()> plan(const config&, const stage_context&) const override {
    asked.emplace_back("plan");
    return [] { return std::string("16 bytes"); };
  }
  bool finished(stage_context&) const override {
    asked.emplace_back("finished");
    return ended_;
  }
  void load(const config&, stage_context&) override {
    asked.emplace_back("load");
    CHECK_FALSE(std::filesystem::exists(out_));
  }
  std::filesystem::path folder() const override { return out_; }
  void run(stage_context&) override {
    asked.emplace_back("run");
    CHECK((out_.empty() || std::filesystem::exists(out_ / "config.toml")));
  }

 private:
  int size_;
  bool ended_;
  std::filesystem::path out_;
};

void take(const settings& given, bool resume = false, bool dry_run = false) {
  asked.clear();
  const config options(given);
  stage_context context("test", options, resume, dry_run, true);
  coho::trainer::run_stage<recording_stage>(options, context);
}

}  // namespace

TEST_CASE("stage: read, check, load, run; the folder is there when it runs, not before") {
  const temporary_directory folder;
  take({"out=" + (folder / "run").string()});
  CHECK(asked == steps{"read", "check", "load", "run"});
}

TEST_CASE("stage: an unknown key is refused before anything is checked or loaded") {
  CHECK_THROWS_WITH(take({"stage.sise=3", "stage.size=0"}), Catch::Matchers::ContainsSubstring("stage.size?"));
  CHECK(asked == steps{"read"});
  CHECK_THROWS_AS(take({"stage.size=0"}), config_error);
  CHECK(asked == steps{"read", "check"});
}

TEST_CASE("stage: a dry run checks and plans, and writes nothing") {
  const temporary_directory folder;
  std::ostringstream text;
  auto* const before = std::cout.rdbuf(text.rdbuf());
  take({"out=" + (folder / "run").string()}, true, true);
  std::cout.rdbuf(before);
  CHECK(asked == steps{"read", "check", "plan"});
  CHECK_FALSE(std::filesystem::exists(folder / "run"));
  CHECK_THAT(text.str(), Catch::Matchers::ContainsSubstring("# 16 bytes"));
}

TEST_CASE("stage: with --resume a run that had ended is not loaded") {
  take({"stage.ended=true"}, true);
  CHECK(asked == steps{"read", "check", "finished"});
  take({}, true);
  CHECK(asked == steps{"read", "check", "finished", "load", "run"});
  take({"stage.ended=true"});  // made anew
  CHECK(asked == steps{"read", "check", "load", "run"});
}

TEST_CASE("stage: interrupted while it loads, it neither writes nor runs") {
  const temporary_directory folder;
  set_interrupted(true);
  CHECK_THROWS_AS(take({"out=" + (folder / "run").string()}), interrupted_error);
  set_interrupted(false);
  CHECK(asked == steps{"read", "check", "load"});
  CHECK_FALSE(std::filesystem::exists(folder / "run"));
}
