#pragma once

#include <string>
#include <string_view>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

namespace coho::trainer::jinja {

/// With the characters &, <, >, ' and " as entities of HTML.
std::string escape_html(std::string_view text);

/// A text as a part of Markup: as it is if it is Markup, else escaped.
std::string markup_text(const value& text);

/// A text, or the texts in a list or tuple, as Markup; any other value itself.
value to_markup(sandbox& box, const value& value);

}  // namespace coho::trainer::jinja
