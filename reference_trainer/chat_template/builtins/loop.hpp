#pragma once

#include <optional>
#include <string_view>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

namespace coho::trainer::jinja {

/// Moves a loop to its next item; false at its end.
bool advance_loop(loop_object& loop);

/// `loop.index` and the like; none if there is no such attribute. Those that look ahead take items from what the loop
/// is over.
std::optional<value> loop_attribute(sandbox& box, const value& loop, std::string_view name);

}  // namespace coho::trainer::jinja
