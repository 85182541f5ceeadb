#pragma once

#include <string>
#include <string_view>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

namespace coho::trainer::jinja {

/// `format % given`: `given` is a tuple of arguments, a dict for `%(name)s`, or the only argument. Throws `failure` for
/// arguments that do not fit, and at `string_bytes`.
std::string percent_format(sandbox& box, std::string_view format, const value& given);

/// `format.format(…)`: fields with attributes, items, conversions !s and !r, and format specifications. Throws
/// `failure` for what is malformed or missing.
std::string brace_format(sandbox& box, std::string_view format, const arguments& given);

}  // namespace coho::trainer::jinja
