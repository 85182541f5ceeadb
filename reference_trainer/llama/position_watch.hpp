#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string_view>

namespace coho::trainer {

/// Sequences that are longer than the positions a model was made for (max_position_embeddings). They are read, as
/// transformers reads them, but a model has not learned what lies there. One watch for the program, so that no stage
/// has to look itself: `note` gets one line at the first of them, and `count` how many were read, each as often as it
/// was.
class position_watch {
 public:
  static position_watch& setting();

  /// Begins anew.
  void start(std::function<void(std::string_view)> note);

  /// A forward pass reads sequences up to these lengths.
  void see(std::span<const std::int64_t> lengths, std::int64_t positions);
  /// Prompt and response may take so many tokens: the note comes before they do.
  void expect(std::int64_t tokens, std::int64_t positions);

  std::size_t count() const;
  std::int64_t longest() const;

 private:
  void say(std::string_view what, std::int64_t tokens, std::int64_t positions);

  mutable std::mutex mutex_;
  std::function<void(std::string_view)> note_;
  bool said_ = false;
  std::size_t count_ = 0;
  std::int64_t longest_ = 0;
};

}  // namespace coho::trainer
