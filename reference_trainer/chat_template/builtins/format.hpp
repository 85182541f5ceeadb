#pragma once

#include <string>
#include <string_view>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

namespace coho::trainer::jinja {

/// `format % given`, as of Python's str. Throws `failure` for arguments that do not fit.
std::string percent_format(sandbox& box, std::string_view format, const value& given);

/// `format.format(…)`: fields with attributes, items, conversions and format specifications.
std::string brace_format(sandbox& box, std::string_view format, const arguments& given);

}  // namespace coho::trainer::jinja
