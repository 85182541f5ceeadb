#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace coho::trainer {

/// The language of a text by Compact Language Detector 2, as an ISO 639 code ("en", "de", "zh", "zh-Hant"), or
/// `unknown` for text that is too short, holds too few letters or gives no reliable answer. Satisfies
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

}  // namespace coho::trainer
