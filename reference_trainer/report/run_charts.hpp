#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/report.hpp"
#include "report/run_folder.hpp"

namespace coho::trainer {

/// How a report presents a metric.
struct metric_description {
  std::string name;  ///< in metrics.jsonl
  std::string title, unit;
  std::string note{};
};

/// The title and unit for a metric's name; an unknown name is its own title.
metric_description describe_metric(const std::string& name);

/// The charts of runs of one stage, in sections (learning, evaluation, speed, diagnostics), none of which is empty.
/// Runs are overlaid; for a single run, related metrics share a chart. `weight`: of the moving average (`smooth`) over
/// training metrics of 20 steps and more; the values themselves are then drawn in the background.
std::vector<report::section> run_charts(const std::vector<const run_folder*>& runs, double weight);

/// The final figures of runs of one stage: for a single run their first and last values and ranges; for several, one
/// column each. Those of speed and diagnostics are in a second table, folded.
std::vector<report_table> final_figures(const std::vector<const run_folder*>& runs);

}  // namespace coho::trainer
