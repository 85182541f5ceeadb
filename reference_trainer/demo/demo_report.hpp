#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "demo/measures.hpp"
#include "observe/metrics_log.hpp"
#include "report/report.hpp"

namespace coho::trainer::demo {

/// One policy of the demo: how it was trained, what its replies are like, where its files are.
struct demo_run {
  std::string name;   ///< the key in summary.json
  std::string title;  ///< for people
  reply_measures replies;
  std::filesystem::path samples;
  std::vector<std::pair<std::string, curve>> curves{};  ///< of its training; none for "before"
};

/// A threshold and whether it was kept.
struct threshold_check {
  std::string key, bound;
  double value = 0;
  bool held = false;
};

/// Reads demo/thresholds.json and checks a summary against it.
std::vector<threshold_check> check_thresholds(const std::filesystem::path& path, const summary& figures);

report make_report(const summary& figures, const std::vector<demo_run>& runs, const reward_accuracy& accuracy,
                   const std::vector<threshold_check>& checks);

/// The table at the end, for the terminal.
std::string final_table(const summary& figures, const std::vector<demo_run>& runs);

}  // namespace coho::trainer::demo
