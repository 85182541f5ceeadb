#include "commands/chat_input.hpp"

#include <algorithm>

namespace coho::trainer {

chat_command parse_command(std::string_view line) {
  constexpr std::string_view blanks = " \t";
  const auto trim = [&](std::string_view text) {
    const auto first = text.find_first_not_of(blanks);
    return first == std::string_view::npos ? std::string_view()
                                           : text.substr(first, text.find_last_not_of(blanks) - first + 1);
  };
  line = trim(line);
  if (!line.starts_with('/')) return {};
  const auto word = line.substr(1, std::min(line.find_first_of(blanks), line.size()) - 1);
  if (word.empty() || !std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; })) return {};
  return {.name = std::string(word), .argument = std::string(trim(line.substr(1 + word.size())))};
}

}  // namespace coho::trainer
