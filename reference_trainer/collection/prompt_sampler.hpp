#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <string_view>

#include <coho/rng.hpp>

#include "files/spool_file.hpp"

namespace coho::trainer {

/// A set-aside prompt: its hash, its place on disk, and the indices of its language and source.
struct drawn_prompt {
  std::uint64_t hash = 0;
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  std::uint16_t language = 0, source = 0;

  spool_file::extent text() const { return {offset, size}; }
};
/// Grows without a copy: there may be millions.
using drawn_prompts = std::deque<drawn_prompt>;

/// Draws n from a stream without replacement, each set of n equally likely: every prompt has a random number that
/// depends on seed, source and its hash, and the n smallest are drawn. So the draw does not depend on the order of the
/// prompts (a bottom-k sample), and prompts added to a source change the draw only where they enter it.
///
///     prompt_sampler draw(seed, "dolly", 10000);
///     if (draw.accepts(hash)) draw.add({.hash = hash, …});
class prompt_sampler {
 public:
  static constexpr auto all = std::numeric_limits<std::size_t>::max();
  prompt_sampler(std::uint64_t seed, std::string_view source, std::size_t count = all)
      : stream_(rng(seed).split(stream_key("prompts")).split(stream_key(source))), count_(count) {}

  /// Whether a prompt with this hash is among the n smallest so far. False is final; true may be overtaken by later
  /// prompts.
  bool accepts(std::uint64_t hash) const {
    return heap_.size() < count_ || (count_ > 0 && random_key(hash) < random_key(heap_[0].hash));
  }

  /// Adds a prompt that `accepts` has accepted. Returns whether another one was evicted.
  bool add(const drawn_prompt& prompt);

  std::size_t size() const noexcept { return heap_.size(); }
  /// Returns the drawn prompts in unspecified order, and starts over.
  drawn_prompts extract();

 private:
  /// The random number of a prompt.
  std::uint64_t random_key(std::uint64_t hash) const { return stream_.split(hash).bits64(); }

  rng stream_;
  std::size_t count_;
  drawn_prompts heap_;  // the largest number at the front, unless all are drawn
};

/// Shuffles prompts by the seed and their hashes, every order equally likely.
void shuffle_by_hash(drawn_prompts& prompts, std::uint64_t seed);

}  // namespace coho::trainer
