#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "files/notices.hpp"

namespace coho::test {

/// The lines that `notices` says while this lives.
class heard_notices {
 public:
  heard_notices() {
    trainer::notices::setting().send_to([this](std::string_view line) { lines_.emplace_back(line); });
  }
  ~heard_notices() { trainer::notices::setting().send_to({}); }
  heard_notices(const heard_notices&) = delete;
  heard_notices& operator=(const heard_notices&) = delete;

  const std::vector<std::string>& lines() const { return lines_; }
  /// All of them, one below the other.
  std::string text() const {
    std::string out;
    for (const auto& line : lines_) out += line + "\n";
    return out;
  }

 private:
  std::vector<std::string> lines_;
};

}  // namespace coho::test
