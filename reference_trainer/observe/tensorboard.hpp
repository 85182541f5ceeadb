#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace coho::trainer {

/// The bytes of event records, independent of files, each framed with its length and checksums. `step` >= 0; wall time
/// in seconds since 1970.
namespace event_record {
/// The first record of every file.
std::string version(double wall_time);
/// A session begins at `step`: TensorBoard drops that step and later ones from earlier files.
std::string session_start(double wall_time, std::int64_t step);
std::string scalar(double wall_time, std::int64_t step, std::string_view tag, float value);
/// Markdown, for the text plugin.
std::string text(double wall_time, std::int64_t step, std::string_view tag, std::string_view markdown);
/// 30 buckets of equal width from the smallest value to the largest; `values`: finite, at least one.
std::string histogram(double wall_time, std::int64_t step, std::string_view tag, std::span<const double> values);
}  // namespace event_record

/// Writes a TensorBoard event file. Each run starts a new file, so a resumed run adds to the folder's curves without
/// touching a file that another process may hold open. `resume_from` is the first step of a resumed run: later steps,
/// which a killed run has already logged, are shown once, as this run logs them.
///
///     tensorboard_writer board("out/tensorboard");
///     board.add_scalar("loss", 7, 0.5);
class tensorboard_writer {
 public:
  /// Creates the folder if absent and a new file in it. Throws `file_error` when the system refuses.
  explicit tensorboard_writer(const std::filesystem::path& folder, std::optional<std::int64_t> resume_from = {});
  ~tensorboard_writer();
  tensorboard_writer(const tensorboard_writer&) = delete;
  tensorboard_writer& operator=(const tensorboard_writer&) = delete;

  /// TensorBoard keeps scalars as float.
  void add_scalar(std::string_view tag, std::int64_t step, double value);
  /// Shown as Markdown.
  void add_text(std::string_view tag, std::int64_t step, std::string_view markdown);
  /// Values that are not finite are left out; nothing is written if none remain.
  void add_histogram(std::string_view tag, std::int64_t step, std::span<const double> values);
  /// Flushes to the system. Also done every few seconds while writing, and at the end.
  void flush();

  /// The file of events that is written, in the folder of the constructor.
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  /// Writes a record; the file is flushed if the last flush was more than 5 seconds ago.
  void append(std::string_view record);

  std::filesystem::path path_;
  std::FILE* file_ = nullptr;
  double last_flush_ = 0;
};

}  // namespace coho::trainer
