#pragma once

#include <string>
#include <string_view>

#include <coho/detail/if_called.hpp>

namespace coho::inline v0_1 {

/// The form in which a principle's name or definition enters every prompt: on one line, without white
/// space around it. A line break, or a run of them, becomes one space, unless a space already precedes it.
///
/// Lists in prompts hold one entry per line, so a text over two lines would read as two entries. All prompts go through
/// this function, so that a reward model sees the same text that it was trained on. Applying it twice
/// changes nothing.
///
///     coho::single_line("Say it\nplainly.\r\n");  // "Say it plainly."
struct single_line_fn {
  template <class = detail::if_called>
  std::string operator()(std::string_view text) const {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    text = text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
      if (c != '\n' && c != '\r') {
        out.push_back(c);
      } else if (out.back() != ' ') {
        out.push_back(' ');
      }
    }
    return out;
  }
};
inline constexpr single_line_fn single_line{};

}  // namespace coho::inline v0_1
