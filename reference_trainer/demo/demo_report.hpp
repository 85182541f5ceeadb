#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "demo/measures.hpp"
#include "observe/metrics_log.hpp"
#include "report/report.hpp"

namespace coho::trainer::demo {

/// One policy of the demo: how it was trained, the attributes of its replies, where its files are.
struct demo_run {
  std::string name;   ///< the key in summary.json
  std::string title;  ///< for display
  reply_measures replies;
  std::filesystem::path samples;
  std::vector<std::pair<std::string, curve>> curves{};  ///< of its training; none for "before"
};

/// A threshold and whether it was met.
struct threshold_check {
  std::string key, bound;
  double value = 0;
  bool held = false;
};

/// Checks a summary against a file like demo/thresholds.json: {"thresholds": [{"key", "is": "at_least" or "at_most",
/// "than": number or {"key", "factor"}}]}. Throws argument_error for a figure that the summary lacks.
std::vector<threshold_check> check_demo_thresholds(const std::filesystem::path& path, const summary& figures);

/// The page report.html; without checks it says that the short form has none.
report make_demo_report(const summary& figures, const std::vector<demo_run>& runs, const reward_accuracy& accuracy,
                        const std::vector<threshold_check>& checks);

/// The table at the end, for the terminal: a row of attributes and KL for each run.
std::string final_table(const summary& figures, const std::vector<demo_run>& runs);

}  // namespace coho::trainer::demo
