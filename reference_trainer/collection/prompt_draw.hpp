#pragma once

#include <coho/rng.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "files/spool_file.hpp"

namespace coho::trainer {

/// A prompt that is put aside: its hash, its place on the disk, and the numbers of its language and source.
struct drawn_prompt {
  std::uint64_t hash = 0;
  spool_file::place text{};
  std::uint32_t language = 0, source = 0;
};

/// A draw of n out of a stream, without replacement and each set of n as likely as any other: every prompt has a random
/// number that seed, source and its own hash decide, and the n smallest are drawn. So the draw does not depend on the
/// order in which prompts come, and prompts that are added to a source change the draw by those that come in alone.
///
///     prompt_draw draw(seed, "dolly", 10000);
///     if (draw.wants(hash)) draw.add({.hash = hash, …});
class prompt_draw {
 public:
  prompt_draw(std::uint64_t seed, std::string_view source, std::size_t count = std::numeric_limits<std::size_t>::max())
      : stream_(rng(seed).split(stream_key("prompts")).split(stream_key(source))), count_(count) {}

  /// Whether a prompt of this hash is among the n smallest of those so far. False is final; true may be lost to later
  /// ones.
  bool wants(std::uint64_t hash) const {
    return heap_.size() < count_ || (count_ > 0 && number(hash) < heap_[0].first);
  }

  /// Adds a prompt that is wanted. Whether another had to go for it.
  bool add(const drawn_prompt& prompt);

  std::size_t size() const noexcept { return heap_.size(); }
  /// Takes the prompts out, in no order.
  std::vector<drawn_prompt> take();

 private:
  std::uint64_t number(std::uint64_t hash) const { return stream_.split(hash).bits64(); }

  rng stream_;
  std::size_t count_;
  std::vector<std::pair<std::uint64_t, drawn_prompt>> heap_;  // the largest number in front
};

/// Puts prompts into an order that the seed and their hashes decide, every order as likely as any other.
void shuffle_by_hash(std::vector<drawn_prompt>& prompts, std::uint64_t seed);

}  // namespace coho::trainer
