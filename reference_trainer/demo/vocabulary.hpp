#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace coho::trainer::demo {

/// The two languages of the demo's world. Language b is language a respelt by a rule: they share no word.
enum class language : std::uint8_t { a, b, neither };

inline constexpr std::size_t object_count = 16;
inline constexpr std::size_t facts_per_object = 4;
inline constexpr std::size_t prompt_form_count = 4;

/// The 16 things that prompts ask about.
extern const std::array<std::string_view, object_count> objects;

/// The value of fact `fact` (colour, part, liking, home) of an object. A fixed table: two objects share each value.
std::string_view fact_value(std::size_t object, std::size_t fact);

/// A word of language a in language b: each vowel becomes the next of a → o → e → i → u → a, and "u" is appended. No
/// word of language a ends in "u", so the rule can be reversed and the languages share no word.
std::string to_language_b(std::string_view word);

/// A text of language a in the given language: every maximal run of letters is respelt, everything else stays.
std::string to_language(std::string_view text, language which);

}  // namespace coho::trainer::demo
