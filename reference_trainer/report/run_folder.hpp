#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "observe/metrics_log.hpp"

namespace coho::trainer {

/// A policy's response to an evaluation prompt during training: a line of `samples.jsonl`.
struct training_sample {
  std::string prompt, type, response;
  std::optional<double> score{};
  std::optional<bool> finished{}, language_match{};
};

/// The responses of one evaluation.
struct step_samples {
  std::int64_t step = 0;
  std::vector<training_sample> samples;
};

/// The contents of a training run's output folder, whether the run has ended or is still in progress.
struct run_folder {
  std::filesystem::path path;
  std::string name;   ///< for display
  std::string stage;  ///< "ppo", "reward", "sft", …; "run" if neither config.toml nor the metrics tell
  std::vector<std::pair<std::string, curve>> curves;            ///< metrics.jsonl
  std::vector<std::pair<std::string, std::string>> settings{};  ///< config.toml: key, value
  std::vector<std::pair<std::string, double>> evaluation{};     ///< the numbers of evaluation.json, keys dotted
  std::optional<step_samples> first{}, last{};                  ///< samples.jsonl; none with fewer than two steps
  bool ended = false;                                           ///< its result has its final name

  /// Empty if the run logged nothing under that name.
  const curve& find(std::string_view metric) const noexcept;
  /// Empty if the recipe does not set it.
  std::string setting(std::string_view key) const;
  /// The steps logged so far.
  std::int64_t steps() const noexcept;
};

/// Reads such a folder. Incomplete lines are ignored. Throws `file_error` if `metrics.jsonl` is missing or has no line
/// yet, and for damaged files; the others may be absent. A `samples.jsonl` of another kind (that of `coho sample`) is
/// skipped, which `note` reports.
run_folder read_run(const std::filesystem::path& path, std::string* note = nullptr);

/// The folder itself if it has `metrics.jsonl` (or is that file), otherwise every folder below it that has one, in name
/// order. Throws `file_error` if there is none.
std::vector<std::filesystem::path> find_runs(const std::filesystem::path& path);

/// Names that distinguish folders: the part after their common parent folder; for a single folder its own name.
std::vector<std::string> run_names(const std::vector<std::filesystem::path>& paths);

}  // namespace coho::trainer
