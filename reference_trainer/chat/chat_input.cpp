#include "chat/chat_input.hpp"

#include <algorithm>

#include "text/white_space.hpp"

namespace coho::trainer {

chat_command parse_command(std::string_view line) {
  constexpr std::string_view blanks = " \t";
  line = trim_characters(line, blanks);
  if (!line.starts_with('/')) return {};
  const auto word = line.substr(1, std::min(line.find_first_of(blanks), line.size()) - 1);
  if (word.empty() || !std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; })) return {};
  return {.name = std::string(word), .argument = std::string(trim_characters(line.substr(1 + word.size()), blanks))};
}

}  // namespace coho::trainer
