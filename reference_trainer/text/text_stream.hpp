#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/utf8.hpp"

namespace coho::trainer {

/// Text to be shown while it is sampled: holds back the bytes of an unfinished character and whatever may yet turn out
/// to be the beginning of a stop string; a stop string and what follows it are never shown. What is shown is UTF-8:
/// bytes that make no character become U+FFFD, as models that sample bytes may write them.
///
///     text_stream shown({"### User"});
///     std::cout << shown.add(tokenizer.token_bytes(id)) << std::flush;
///     std::cout << shown.finish();
class text_stream {
 public:
  explicit text_stream(std::vector<std::string> stops, bool skip_leading_space = false)
      : stops_(std::move(stops)), at_start_(skip_leading_space) {}

  /// What a token adds to the text that may be shown.
  std::string add(std::string_view bytes) {
    if (stopped_) return {};
    pending_.append(bytes);
    if (at_start_) {
      const auto first = pending_.find_first_not_of(" \t\r\n");
      pending_.erase(0, std::min(first, pending_.size()));
      at_start_ = pending_.empty();
    }
    std::size_t end = pending_.size();
    for (const auto& stop : stops_)
      if (!stop.empty()) end = std::min(end, pending_.find(stop));
    stopped_ = end < pending_.size();
    if (!stopped_) end = std::min(before_stop_prefix(), before_partial_character());
    std::string out = repair_utf8(std::string_view(pending_).substr(0, end));
    pending_.erase(0, stopped_ ? pending_.size() : end);
    return out;
  }

  /// What was held back, once no more tokens come.
  std::string finish() { return repair_utf8(std::exchange(pending_, {})); }

 private:
  std::size_t before_stop_prefix() const {
    std::size_t end = pending_.size();
    for (const auto& stop : stops_) {
      for (std::size_t length = std::min(stop.size(), pending_.size()); length > 0; --length) {
        if (!pending_.ends_with(std::string_view(stop).substr(0, length))) continue;
        end = std::min(end, pending_.size() - length);
        break;
      }
    }
    return end;
  }

  std::size_t before_partial_character() const {
    for (std::size_t back = 1; back <= std::min<std::size_t>(3, pending_.size()); ++back) {
      const auto byte = static_cast<unsigned char>(pending_[pending_.size() - back]);
      if ((byte & 0xC0u) == 0x80u) continue;
      const std::size_t length = byte >= 0xF5 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 1;
      return length > back ? pending_.size() - back : pending_.size();
    }
    return pending_.size();
  }

  std::vector<std::string> stops_;
  std::string pending_;
  bool at_start_, stopped_ = false;
};

}  // namespace coho::trainer
