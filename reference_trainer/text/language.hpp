#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace coho::trainer {

/// The language of a text according to Compact Language Detector 2, as an ISO 639 code ("en", "de", "zh", "zh-Hant"),
/// or `unknown` for text that is too short, has too few letters or gives no reliable answer. Satisfies
/// `coho::language_identifier`.
///
/// Text that is not UTF-8 is unknown. Latin script needs about 20 letters, other scripts 8.
///
///     coho::trainer::cld2_language language;
///     language("Der Hund schläft unter dem großen Tisch.");  // "de"
struct cld2_language {
  static constexpr std::string_view unknown = "un";
  std::string operator()(std::string_view text) const;
};

/// The same with nothing in place of `unknown`.
std::optional<std::string> identify_language(std::string_view text);

/// A text's language as an arbitrary code; equal codes mean equal languages. None where unknown.
using language_identifier_function = std::function<std::optional<std::string>(std::string_view)>;

/// Makes a language identifier known to `ppo.language_identifier` by a given name; "cld2" is always known.
void register_language_identifier(const std::string& name, language_identifier_function identifier);
/// The identifier of that name; null where there is none.
const language_identifier_function* find_language_identifier(const std::string& name);

}  // namespace coho::trainer
