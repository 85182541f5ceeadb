#include "text/language.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include <cld2/public/compact_lang_det.h>
#include <cld2/public/encodings.h>

#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

// Letters of a text; a letter of another script, which may be an ideograph, says more than a Latin one.
struct letter_count {
  int latin = 0, other = 0;
};

// By lead bytes: ASCII letters and U+00C0 to U+024F are Latin; everything above counts as a letter of another script.
letter_count count_letters(std::string_view text) {
  letter_count out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') ++out.latin;
    if (byte < 0xC3) continue;
    if (byte < 0xC9) {
      ++out.latin;  // Latin-1 letters and Latin Extended-A
    } else {
      ++out.other;
    }
  }
  return out;
}

}  // namespace

std::string cld2_language::operator()(std::string_view text) const {
  // The detector takes an int, and a language is recognisable long before a megabyte.
  constexpr std::size_t size = std::size_t{1} << 20;
  if (size < text.size()) text = text.substr(0, utf8_previous(text, size + 1));
  const auto letters = count_letters(text);
  if (letters.latin < 20 && letters.other < 8) return std::string(unknown);

  CLD2::Language languages[3];
  int percents[3], text_bytes = 0, valid_prefix = 0;
  double scores[3];
  bool reliable = false;
  const CLD2::CLDHints no_hints{nullptr, nullptr, CLD2::UNKNOWN_ENCODING, CLD2::UNKNOWN_LANGUAGE};
  const auto language =
      CLD2::ExtDetectLanguageSummaryCheckUTF8(text.data(), static_cast<int>(text.size()), true, &no_hints, 0, languages,
                                              percents, scores, nullptr, &text_bytes, &reliable, &valid_prefix);
  if (valid_prefix < static_cast<int>(text.size()) || !reliable || language == CLD2::UNKNOWN_LANGUAGE)
    return std::string(unknown);
  return CLD2::LanguageCode(language);
}

std::optional<std::string> identify_language(std::string_view text) {
  auto found = cld2_language{}(text);
  return found == cld2_language::unknown ? std::nullopt : std::optional(std::move(found));
}

namespace {

std::map<std::string, language_identifier_function>& language_identifiers() {
  static std::map<std::string, language_identifier_function> known{{"cld2", identify_language}};
  return known;
}

}  // namespace

void register_language_identifier(const std::string& name, language_identifier_function identifier) {
  language_identifiers()[name] = std::move(identifier);
}

const language_identifier_function* find_language_identifier(const std::string& name) {
  const auto found = language_identifiers().find(name);
  return found == language_identifiers().end() ? nullptr : &found->second;
}

}  // namespace coho::trainer
