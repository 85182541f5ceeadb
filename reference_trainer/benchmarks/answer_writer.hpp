#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>

#include "benchmarks/benchmark_records.hpp"
#include "jsonl/jsonl.hpp"

namespace coho::trainer {

/// Writes answers so that a kill loses at most the record in flight, and the file appears under its name when it is
/// complete. JSON Lines are written by jsonl_writer; a list is collected in `<path>.records` and written at the end.
class answer_writer {
 public:
  /// `resume`: continues what an earlier run left, as jsonl_writer does.
  answer_writer(std::filesystem::path path, answer_form form, bool resume);
  /// Whether a run that resumes would find the file finished. Changes nothing.
  static bool is_complete(const std::filesystem::path& path, answer_form form);

  /// Adds the record of an answer (answer_record).
  void write(const json& record) { lines_->write(record); }
  /// Completes the file; does nothing if it was complete before.
  void finish();
  /// Records in the file, including those of earlier runs.
  std::size_t count() const noexcept { return lines_ ? lines_->count() : 0; }
  bool finished() const noexcept { return finished_; }

 private:
  std::filesystem::path path_, records_;
  std::optional<jsonl_writer> lines_;
  bool finished_ = false;
};

}  // namespace coho::trainer
