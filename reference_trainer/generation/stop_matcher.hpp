#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// Finds stop strings in a text that grows token by token, also where they span tokens. Keeps only as much of the
/// text's end as the longest stop string can reach back into.
class stop_matcher {
 public:
  explicit stop_matcher(const std::vector<std::string>& stops) : stops_(&stops) {
    for (const auto& stop : stops) longest_ = std::max(longest_, stop.size());
  }

  /// Adds a token's bytes; true once the text holds a stop string.
  bool add(std::string_view bytes) {
    tail_.append(bytes);
    for (const auto& stop : *stops_)
      if (!stop.empty() && tail_.find(stop) != std::string::npos) return true;
    if (longest_ > 0 && tail_.size() >= longest_) tail_.erase(0, tail_.size() - (longest_ - 1));
    return false;
  }

 private:
  const std::vector<std::string>* stops_;
  std::size_t longest_ = 0;
  std::string tail_;
};

/// The text before the first occurrence of any stop string; all of it when there is none.
inline std::string before_stop(std::string_view text, const std::vector<std::string>& stops) {
  std::size_t end = text.size();
  for (const auto& stop : stops)
    if (!stop.empty()) end = std::min(end, text.find(stop));
  return std::string(text.substr(0, end));
}

}  // namespace coho::trainer
