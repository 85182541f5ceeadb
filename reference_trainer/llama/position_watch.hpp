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
  static position_watch& setting();

  /// Forgets what was counted.
  void clear();

  /// Call for a forward pass over sequences of up to these lengths.
  void see(std::span<const std::int64_t> lengths, std::int64_t positions);
  /// Prompt and response may have this many tokens: the note comes before they do.
  void expect(std::int64_t tokens, std::int64_t positions);

  std::size_t count() const;
  std::int64_t longest() const;

 private:
  mutable std::mutex mutex_;
  std::size_t count_ = 0;
  std::int64_t longest_ = 0;
};

}  // namespace coho::trainer
