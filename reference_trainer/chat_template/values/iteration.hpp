#pragma once

#include <vector>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

namespace coho::trainer::jinja {

/// Python's `iter(value)`: a function that gives the next item at each call. It visits the characters of a text, the
/// keys of a dict, and nothing for Undefined. Each call counts a step. Throws `failure` for what cannot be iterated.
next_item iterate_items(sandbox& box, const value& iterable);

/// Python's `list(value)`. Throws `failure` as `iterate_items` does, and where the items exceed `memory_bytes`.
std::vector<value> items_of(sandbox& box, const value& iterable);

}  // namespace coho::trainer::jinja
