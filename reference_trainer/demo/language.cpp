#include "demo/language.hpp"

#include <cctype>

#include <coho/concepts.hpp>

namespace coho::trainer::demo {

static_assert(coho::language_identifier<language_identifier_fn>);

language language_identifier_fn::operator()(std::string_view text) const {
  const auto is_letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  std::size_t words = 0, of_b = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool ends_word = is_letter(text[i]) && (i + 1 == text.size() || !is_letter(text[i + 1]));
    if (!ends_word) continue;
    ++words;
    of_b += text[i] == 'u';
  }
  if (words == 0) return language::neither;
  if (5 * of_b > 4 * words) return language::b;
  if (5 * (words - of_b) > 4 * words) return language::a;
  return language::neither;
}

}  // namespace coho::trainer::demo
