#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "chat_template/syntax_tree.hpp"

namespace coho::trainer::jinja {

/// For each body that is a scope of its own, the names that are Undefined when it begins.
using undefined_names = std::unordered_map<const statements*, std::vector<std::string>>;

/// The names that a scope assigns, outside of `if`, before it reads them itself, and that no scope around it mentions:
/// in Jinja 3.1 they do not read the variable of the rendering until they are assigned, even in inner scopes.
///
///     {% for i in [1] %}{{ name }}{% endfor %}{% set name = 1 %}   writes nothing, whatever the variable `name` is
///
/// The statements must stay where they are: their addresses are the keys.
undefined_names find_undefined_names(const statements& body);

}  // namespace coho::trainer::jinja
