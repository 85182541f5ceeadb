#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

namespace coho::trainer::jinja {

/// What a method does with its object and arguments.
using method = value (*)(sandbox& box, const value& self, const arguments& given);

struct named_method {
  std::string_view name;
  method call;
};

/// The methods of Python's str, list, tuple, dict or range that do not change their object; none of other kinds.
std::span<const named_method> methods_of(kind kind);
/// Those of str.
std::span<const named_method> text_methods();
/// One of them, or null.
method find_method(kind kind, std::string_view name);

/// Whether Python's type has an attribute of that name that templates may not use, because it would change the object.
bool is_mutating_attribute(kind kind, std::string_view name);
/// Whether Python's type has an attribute of that name that is not supported here.
bool is_unsupported_attribute(kind kind, std::string_view name);

}  // namespace coho::trainer::jinja
