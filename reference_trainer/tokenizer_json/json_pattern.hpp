#pragma once

#include "tokenizer_json/json_part.hpp"
#include "unicode/text_pattern.hpp"

namespace coho::trainer {

/// The member "pattern" of a Split or a Replace: {"String": "…"} or {"Regex": "…"}. Throws `file_error` at its place.
text_pattern read_pattern(const json_part& part);

}  // namespace coho::trainer
