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

/// A response that a training run gave to one of its evaluation prompts: a line of `samples.jsonl`.
struct training_sample {
  std::string prompt, type, response;
  std::optional<double> score{};
  std::optional<bool> finished{}, language_match{};
};

struct step_samples {
  std::int64_t step = 0;
  std::vector<training_sample> samples;
};

/// What a training run has left in its output folder, be it at its end or still under way.
struct run_folder {
  std::filesystem::path path;
  std::string name;   ///< for people
  std::string stage;  ///< "ppo", "reward", "sft", …; "run" where neither config.toml nor the metrics tell
  std::vector<std::pair<std::string, curve>> curves;            ///< metrics.jsonl
  std::vector<std::pair<std::string, std::string>> settings{};  ///< config.toml: key, value
  std::vector<std::pair<std::string, double>> evaluation{};     ///< the numbers of evaluation.json, keys dotted
  std::optional<step_samples> first{}, last{};                  ///< samples.jsonl; none without two steps
  bool ended = false;                                           ///< its result has its final name

  /// Empty where the run logged nothing of that name.
  const curve& find(std::string_view metric) const noexcept;
  /// Empty where the recipe does not give it.
  std::string setting(std::string_view key) const;
  /// The steps logged so far.
  std::int64_t steps() const noexcept;
};

/// Reads such a folder. Lines that are being written are left out. Throws `file_error` when `metrics.jsonl` is missing
/// or has no line yet, and for files that are damaged; the others may be absent. A `samples.jsonl` of another kind
/// (that of `coho sample`) is passed over, which `note` tells.
run_folder read_run(const std::filesystem::path& path, std::string* note = nullptr);

/// The folder itself if it holds `metrics.jsonl` (or is that file), else every folder below it that does, in the order
/// of their names. Throws `file_error` when there is none.
std::vector<std::filesystem::path> find_runs(const std::filesystem::path& path);

/// Names that tell folders apart: what follows the folder that all of them lie in; of one alone its own name.
std::vector<std::string> run_names(const std::vector<std::filesystem::path>& paths);

}  // namespace coho::trainer
