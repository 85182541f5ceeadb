#pragma once

#include <string>
#include <string_view>

#include "files/json_part.hpp"
#include "unicode/text_pattern.hpp"

namespace coho::trainer {

/// The member "pattern" of a Split or a Replace: {"String": "…"} or {"Regex": "…"}. Throws `file_error` at its place.
text_pattern read_pattern(const json_part& part);

/// A member that is one character. Throws `file_error` at its place for another text.
std::string read_character(const json_part& part, std::string_view member);

}  // namespace coho::trainer
