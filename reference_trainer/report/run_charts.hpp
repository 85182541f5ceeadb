#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/report.hpp"
#include "report/run_folder.hpp"

namespace coho::trainer {

/// What a report shows of a metric.
struct metric_description {
  std::string name;  ///< in metrics.jsonl
  std::string title, unit;
  std::string note{};
};

/// The title and unit that a metric's name stands for; an unknown one is its own title.
metric_description describe_metric(const std::string& name);

/// The charts of runs of one stage, in sections (learning, evaluation, speed, diagnostics) of which none is empty.
/// Runs are overlaid; of a single run, metrics that belong together share a chart. `weight`: of the moving average
/// (`smooth`) over training metrics of 20 steps and more; the values themselves are then drawn behind.
std::vector<report::section> run_charts(const std::vector<const run_folder*>& runs, double weight);

/// The last figures of runs of one stage: of a single run how they began, ended and ranged; of several, one column
/// each. Those of speed and diagnostics in a second table, folded.
std::vector<report_table> final_figures(const std::vector<const run_folder*>& runs);

}  // namespace coho::trainer
