#pragma once

#include <string_view>

#include "demo/vocabulary.hpp"

namespace coho::trainer::demo {

/// Identifies which of the world's languages a text is in, exactly, because every word of language b ends in "u" and no
/// word of language a does. A text counts as a language if more than 80 % of its words belong to it; `neither`
/// otherwise, and for a text without words. Satisfies coho::language_identifier.
///
///     identify_demo_language("thiu fexu usu ridu.");  // language::b
struct language_identifier_fn {
  /// The language of more than 80 % of the words; words are runs of ASCII letters.
  language operator()(std::string_view text) const;
};
inline constexpr language_identifier_fn identify_demo_language{};

}  // namespace coho::trainer::demo
