#include "collection/prompt_sampler.hpp"

#include <algorithm>

namespace coho::trainer {
namespace {

constexpr auto by_key = [](const auto& a, const auto& b) { return a.first < b.first; };

}  // namespace

bool prompt_sampler::add(const drawn_prompt& prompt) {
  const bool full = heap_.size() >= count_;
  heap_.emplace_back(random_key(prompt.hash), prompt);
  std::ranges::push_heap(heap_, by_key);
  if (!full) return false;
  std::ranges::pop_heap(heap_, by_key);
  heap_.pop_back();
  return true;
}

std::vector<drawn_prompt> prompt_sampler::extract() {
  std::vector<drawn_prompt> out;
  out.reserve(heap_.size());
  for (const auto& [number, prompt] : heap_) out.push_back(prompt);
  heap_ = {};
  return out;
}

void shuffle_by_hash(std::vector<drawn_prompt>& prompts, std::uint64_t seed) {
  const rng order = rng(seed).split(stream_key("order of prompts"));
  std::vector<std::pair<std::uint64_t, drawn_prompt>> keyed;
  keyed.reserve(prompts.size());
  for (const auto& prompt : prompts) keyed.emplace_back(order.split(prompt.hash).bits64(), prompt);
  std::ranges::sort(keyed, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second.hash < b.second.hash;
  });
  std::ranges::transform(keyed, prompts.begin(), [](const auto& entry) { return entry.second; });
}

}  // namespace coho::trainer
