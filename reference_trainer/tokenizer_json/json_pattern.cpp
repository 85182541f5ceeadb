#include "tokenizer_json/json_pattern.hpp"

#include <coho/error.hpp>

#include "text/utf8.hpp"

namespace coho::trainer {

text_pattern read_pattern(const json_part& part) {
  const auto pattern = part.at("pattern");
  if (pattern.has("String")) return text_pattern::literal(pattern.text("String"));
  const std::string expression = pattern.text("Regex");
  try {
    return text_pattern::regex(expression);
  } catch (const argument_error& error) {
    pattern.refuse_member("Regex", error.what(), "use a tokenizer without it");
  }
}

std::string read_character(const json_part& part, std::string_view member) {
  auto out = part.text(member);
  if (utf8_length(out) != out.size() || out.empty()) part.refuse_member(member, "must be one character");
  return out;
}

}  // namespace coho::trainer
