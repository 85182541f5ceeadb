#include "tokenizer_json/json_pattern.hpp"

#include <coho/error.hpp>

namespace coho::trainer {

text_pattern read_pattern(const json_part& part) {
  const auto pattern = part.at("pattern");
  if (pattern.has("String")) return text_pattern::literal(pattern.text("String"));
  const std::string expression = pattern.text("Regex");
  try {
    return text_pattern::regex(expression);
  } catch (const argument_error& error) {
    pattern.refuse("Regex", error.what(), "use a tokenizer without it");
  }
}

}  // namespace coho::trainer
