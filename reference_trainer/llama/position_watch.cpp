#include "llama/position_watch.hpp"

#include <algorithm>
#include <string>

#include "files/notices.hpp"

namespace coho::trainer {
namespace {

// The first call of a program writes a line; later ones do nothing.
void say_long_positions(const std::string& what, std::int64_t tokens, std::int64_t positions) {
  notices::setting().say_first("positions", "note: " + what + std::to_string(tokens) +
                                                " tokens; the model was made for " + std::to_string(positions));
}

}  // namespace

position_watch& position_watch::instance() {
  static position_watch all;
  return all;
}

void position_watch::clear() {
  const std::lock_guard lock(mutex_);
  count_ = 0;
  longest_ = 0;
}

void position_watch::record(std::span<const std::int64_t> lengths, std::int64_t positions) {
  const auto longest = std::ranges::max_element(lengths);
  if (longest == lengths.end() || *longest <= positions) return;
  const std::lock_guard lock(mutex_);
  count_ += static_cast<std::size_t>(std::ranges::count_if(lengths, [&](auto length) { return length > positions; }));
  longest_ = std::max(longest_, *longest);
  say_long_positions("a sequence has ", *longest, positions);
}

void position_watch::warn_ahead(std::int64_t tokens, std::int64_t positions) {
  if (tokens <= positions) return;
  say_long_positions("prompt and response may take ", tokens, positions);
}

std::size_t position_watch::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

std::int64_t position_watch::longest() const {
  const std::lock_guard lock(mutex_);
  return longest_;
}

}  // namespace coho::trainer
