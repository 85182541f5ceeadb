#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/utf8.hpp"

namespace coho::trainer {

/// Text that is displayed while it is sampled: holds back the bytes of an unfinished character and anything that may
/// turn out to be the beginning of a stop string; a stop string and the text after it are never shown. The output is
/// UTF-8: invalid bytes, which models that sample bytes may write, become U+FFFD.
///
///     text_stream shown({"### User"});
///     std::cout << shown.add(tokenizer.token_bytes(id)) << std::flush;
///     std::cout << shown.finish();
class text_stream {
 public:
  /// `skip_leading_space`: white space before the first text is not shown.
  explicit text_stream(std::vector<std::string> stops, bool skip_leading_space = false)
      : stops_(std::move(stops)), at_start_(skip_leading_space) {}

  /// The text that may be shown after adding a token.
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
    if (!stopped_) end = std::min(end_before_stop_prefix(), end_before_partial_character());
    std::string out = repair_utf8(std::string_view(pending_).substr(0, end));
    pending_.erase(0, stopped_ ? pending_.size() : end);
    return out;
  }

  /// The text that was held back, once no more tokens come.
  std::string finish() { return repair_utf8(std::exchange(pending_, {})); }

 private:
  /// The length of the pending text without an ending that may become a stop string.
  std::size_t end_before_stop_prefix() const {
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

  /// The length of the pending text without a character whose last bytes have not come.
  std::size_t end_before_partial_character() const {
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
