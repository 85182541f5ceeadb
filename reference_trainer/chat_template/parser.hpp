#pragma once

#include "chat_template/syntax_tree.hpp"
#include "chat_template/template_source.hpp"

namespace coho::trainer::jinja {

/// The statements of a template. Throws `template_error` for what is malformed, too deeply nested, or not supported:
/// filters and tests that are unknown, recursive loops, and tags that call other templates or macros with a block.
statements parse_template(const template_source& source);

}  // namespace coho::trainer::jinja
