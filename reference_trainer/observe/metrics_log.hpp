#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "observe/tensorboard.hpp"

namespace coho::trainer {

/// A curve: (step, value) in logging order.
using curve = std::vector<std::pair<std::int64_t, double>>;

/// The metrics of a training run by step: `metrics.jsonl` (one line per step, `{"step":7,"loss":0.5,…}`), TensorBoard
/// events in `tensorboard/`, and the curves in memory for a report.
///
/// A line is written when the step changes, at `flush` and at the end. With `resume_from`, lines at or after that step
/// are removed first, because that work is being repeated; TensorBoard drops them too. Values that are not finite are
/// written as null.
///
///     metrics_log log("out/ppo");
///     log.add_scalar("loss/policy", step, loss);
class metrics_log {
 public:
  /// An empty directory keeps the curves in memory and writes nothing.
  explicit metrics_log(const std::filesystem::path& directory, std::optional<std::int64_t> resume_from = {});
  ~metrics_log();
  metrics_log(const metrics_log&) = delete;
  metrics_log& operator=(const metrics_log&) = delete;

  /// Adds a value to a curve; a new step writes the line of the last one.
  void add_scalar(std::string_view name, std::int64_t step, double value);
  /// Several values of one step: `log.add_scalars(step, {{"reward", r}, {"kl", k}})`.
  void add_scalars(std::int64_t step, std::initializer_list<std::pair<std::string_view, double>> values);
  /// Markdown, for TensorBoard only.
  void add_text(std::string_view name, std::int64_t step, std::string_view markdown);
  /// For TensorBoard only.
  void add_histogram(std::string_view name, std::int64_t step, std::span<const double> values);
  /// Writes the line of the current step and hands everything to the system.
  void flush();

  /// By name, in the order of first appearance.
  const std::vector<std::pair<std::string, curve>>& curves() const noexcept { return curves_; }
  /// Empty if nothing was logged under that name.
  const curve& find(std::string_view name) const noexcept;

  /// The curves of a directory's `metrics.jsonl`, which a run may still be writing: an incomplete last line is ignored.
  /// Throws `file_error`.
  static std::vector<std::pair<std::string, curve>> read(const std::filesystem::path& directory);

 private:
  /// Keeps the lines of an earlier run before a step, in the file and as curves.
  void drop_lines_from(std::int64_t step);
  /// Writes the values of the step, if there are any.
  void write_line();

  std::filesystem::path path_;
  std::FILE* file_ = nullptr;
  std::optional<tensorboard_writer> board_;
  std::vector<std::pair<std::string, curve>> curves_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::vector<std::pair<std::string, double>> pending_;
  std::int64_t step_ = 0;
};

}  // namespace coho::trainer
