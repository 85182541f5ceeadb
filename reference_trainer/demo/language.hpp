#pragma once

#include <string_view>

#include "demo/vocabulary.hpp"

namespace coho::trainer::demo {

/// Which of the world's languages a text is in: exact, because every word of language b ends in "u" and none of
/// language a does. A text counts as a language when more than 80 % of its words are of it; `neither` otherwise, and
/// for a text without words. Satisfies coho::language_identifier.
///
///     identify_language("thiu fexu usu ridu.");  // language::b
struct language_identifier_fn {
  language operator()(std::string_view text) const;
};
inline constexpr language_identifier_fn identify_language{};

}  // namespace coho::trainer::demo
