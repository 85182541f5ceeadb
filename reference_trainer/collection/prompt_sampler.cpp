#include "collection/prompt_sampler.hpp"

#include <algorithm>
#include <utility>

namespace coho::trainer {

// Keys are computed again for each comparison: kept, they would take as much memory as the prompts.
bool prompt_sampler::add(const drawn_prompt& prompt) {
  const auto by_key = [&](const auto& a, const auto& b) { return random_key(a.hash) < random_key(b.hash); };
  const bool full = heap_.size() >= count_;
  heap_.push_back(prompt);
  if (count_ == all) return false;
  std::ranges::push_heap(heap_, by_key);
  if (!full) return false;
  std::ranges::pop_heap(heap_, by_key);
  heap_.pop_back();
  return true;
}

drawn_prompts prompt_sampler::extract() { return std::exchange(heap_, {}); }

void shuffle_by_hash(drawn_prompts& prompts, std::uint64_t seed) {
  const rng order = rng(seed).split(stream_key("order of prompts"));
  std::ranges::sort(prompts, [&](const auto& a, const auto& b) {
    const auto first = order.split(a.hash).bits64(), second = order.split(b.hash).bits64();
    return first != second ? first < second : a.hash < b.hash;
  });
}

}  // namespace coho::trainer
