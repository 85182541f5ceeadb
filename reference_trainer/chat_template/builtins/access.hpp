#pragma once

#include <optional>
#include <string_view>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

/// Attributes, items, slices and calls, with the rules of Jinja's sandbox. Each function throws `failure` if the object
/// is Undefined.
namespace coho::trainer::jinja {

/// `object.name`: an attribute or method, else the item of that name, else Undefined with a cause. Undefined too are
/// names such as `__class__`, and methods that would change the object.
value get_attribute(sandbox& box, const value& object, std::string_view name);

/// `object[key]`: the item, else the attribute or method if the key is a text, else Undefined with a cause.
value get_item(sandbox& box, const value& object, const value& key);

/// The attribute or method only, as the filter `attr` looks it up; none if there is none.
std::optional<value> find_attribute(sandbox& box, const value& object, std::string_view name);

/// `object[start:stop:step]` of a text, list, tuple or range; bounds that are None are left out. Throws `failure` for
/// other objects, bounds that are not integers, and a step of zero.
value get_slice(sandbox& box, const value& object, const value& start, const value& stop, const value& step);

/// `function(…)`. Throws `failure` for what is not a function, and whatever the function throws.
value call_function(const value& function, const arguments& given);

}  // namespace coho::trainer::jinja
