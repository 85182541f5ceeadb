#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// The state of a growing text.
enum class text_end : std::uint8_t {
  open,        ///< no stop string yet
  finished,    ///< a stop string
  unfinished,  ///< one of the strings that end a response without finishing it
};

/// Finds stop strings in a text that grows token by token, even if they span tokens. Keeps only as much of the text's
/// end as the longest stop string can reach back into.
///
/// A string of `unfinished` that is part of one of `stops`, as "###" is of "### User", counts once the text has
/// continued differently: until then it may still become the stop string.
class stop_matcher {
 public:
  stop_matcher(const std::vector<std::string>& stops, const std::vector<std::string>& unfinished)
      : stops_(&stops), unfinished_(&unfinished) {
    for (const auto* list : {stops_, unfinished_})
      for (const auto& stop : *list) longest_ = std::max(longest_, stop.size());
  }

  /// Appends a token's bytes and returns the state of the text with them.
  text_end append(std::string_view bytes) {
    tail_.append(bytes);
    const std::size_t stop = find_first(*stops_), cut = find_first(*unfinished_);
    // If both are present, the earlier one ended the text.
    if (stop != std::string::npos && stop <= cut) return text_end::finished;
    undecided_ = cut != std::string::npos && may_become_stop(cut);
    if (cut != std::string::npos && !undecided_) return text_end::unfinished;
    if (!undecided_ && longest_ > 0 && tail_.size() >= longest_) tail_.erase(0, tail_.size() - (longest_ - 1));
    return text_end::open;
  }

  /// Whether the text, if it ended here, would end in a string of `unfinished`.
  bool is_undecided() const noexcept { return undecided_; }

 private:
  // Where in the tail the first of these strings begins; npos if there is none.
  std::size_t find_first(const std::vector<std::string>& strings) const {
    std::size_t at = std::string::npos;
    for (const auto& text : strings)
      if (!text.empty()) at = std::min(at, tail_.find(text));
    return at;
  }
  // Whether a stop string that begins at or before `cut` is still incomplete.
  bool may_become_stop(std::size_t cut) const {
    for (std::size_t begin = 0; begin <= cut; ++begin)
      for (const auto& stop : *stops_)
        if (stop.size() > tail_.size() - begin && stop.starts_with(std::string_view(tail_).substr(begin))) return true;
    return false;
  }

  const std::vector<std::string>*stops_, *unfinished_;
  std::size_t longest_ = 0;
  std::string tail_;
  bool undecided_ = false;
};

/// The text before the first occurrence of any stop string; all of it if there is none.
inline std::string truncate_at_stop(std::string_view text, const std::vector<std::string>& stops) {
  std::size_t end = text.size();
  for (const auto& stop : stops)
    if (!stop.empty()) end = std::min(end, text.find(stop));
  return std::string(text.substr(0, end));
}

}  // namespace coho::trainer
