#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "report/report.hpp"
#include "report/run_folder.hpp"

namespace coho::trainer {

/// What a report of runs shows.
struct run_report_options {
  std::string title = "Training runs";
  double smoothing = 0.6;   ///< weight of the moving average, in [0, 1); 0: none
  std::size_t samples = 8;  ///< prompts whose responses are shown
};

/// A page about one run or several: what they are, their figures and settings, curves, and responses before and after.
/// Runs of a stage are overlaid; stages follow each other in sections. Throws `argument_error` without a run.
report make_run_report(const std::vector<run_folder>& runs, const run_report_options& options = {});

/// The settings that all runs share, which are all of a single run.
report_table shared_settings(const std::vector<const run_folder*>& runs);
/// The settings in which runs differ, one column per run.
report_table differing_settings(const std::vector<const run_folder*>& runs);

/// The first and last responses of runs to the same prompts: the requested number of prompts, alternating between
/// types.
report_samples sample_table(const std::vector<const run_folder*>& runs, std::size_t prompts);

}  // namespace coho::trainer
