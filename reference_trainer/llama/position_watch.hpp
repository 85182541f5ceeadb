#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

namespace coho::trainer {

/// Detects sequences longer than the positions a model was made for (max_position_embeddings). They are processed, as
/// in transformers, but the model was not trained on those positions. One instance per program, so that no stage has to
/// check: `notices` get one line at the first such sequence, and `count` is how many were read, counting repetitions.
class position_watch {
 public:
  static position_watch& instance();

  /// Sets both counts to zero; for the start of a run.
  void clear();

  /// Counts the sequences of a forward pass that are longer than the model's `positions`.
  void record(std::span<const std::int64_t> lengths, std::int64_t positions);
  /// Gives the note before generation if prompt and response may take more `tokens` than `positions`; counts nothing.
  void warn_ahead(std::int64_t tokens, std::int64_t positions);

  /// Sequences counted so far.
  std::size_t count() const;
  /// Tokens of the longest of them; 0 if none was counted.
  std::int64_t longest() const;

 private:
  mutable std::mutex mutex_;
  std::size_t count_ = 0;
  std::int64_t longest_ = 0;
};

}  // namespace coho::trainer
