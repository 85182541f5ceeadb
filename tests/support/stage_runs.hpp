#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "observe/metrics_log.hpp"
#include "program/application.hpp"
#include "run/interruption.hpp"
#include "run/report_error.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"

namespace coho::test {

using stage_function = void (*)(const trainer::config&, trainer::stage_context&);
/// "key=value", as --set takes them.
using settings = std::vector<std::string>;

inline settings operator+(settings all, const settings& more) {
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// The demo's base model with its tokenizer: a quarter of a million weights.
inline std::filesystem::path demo_base() { return source_dir() / "reference_trainer" / "demo" / "base"; }

/// Runs a stage in this process on one thread, unless the settings say otherwise.
inline void run_stage(stage_function stage, const settings& given, bool resume = false) {
  const trainer::config options(settings{"threads=1"} + given);
  trainer::stage_context context("test", options, resume, false, true);
  stage(options, context);
}

/// Runs a training stage and interrupts it, as SIGINT does, once the checkpoint of its second step is there.
inline void run_interrupted(stage_function stage, const settings& given, const std::filesystem::path& out) {
  const auto saved = out / "checkpoints" / "step-00000002";
  const struct all_clear {
    ~all_clear() { trainer::set_interrupted(false); }
  } afterwards;
  std::jthread user([&](const std::stop_token& over) {
    while (!over.stop_requested() && !std::filesystem::exists(saved))
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    trainer::set_interrupted(true);
  });
  REQUIRE_THROWS_AS(run_stage(stage, given), trainer::interrupted_error);
  REQUIRE(std::filesystem::exists(out / "checkpoints"));
}

/// A curve of a run's metrics, empty if there is none of that name.
inline trainer::curve metric_curve(const std::filesystem::path& out, const std::string& name) {
  for (const auto& [each, points] : trainer::metrics_log::read(out)) {
    if (each == name) return points;
  }
  return {};
}

}  // namespace coho::test
