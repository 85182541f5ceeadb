#pragma once

#include <optional>
#include <string_view>

#include "jsonl/jsonl.hpp"

namespace coho::trainer {

/// Reads a Python literal of the kinds that printed data hold: numbers (inf and nan included), True, False, None,
/// strings in either quote with escapes, tuples and lists of these, and numpy's printed scalars. Nothing when the text
/// is anything else.
///
///     parse_python_literal("('Concise', True, -0.5,)");  // ["Concise", true, -0.5]
std::optional<json> parse_python_literal(std::string_view text);

}  // namespace coho::trainer
