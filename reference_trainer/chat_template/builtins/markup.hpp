#pragma once

#include <string>
#include <string_view>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

namespace coho::trainer::jinja {

/// With the characters &, <, >, ' and " as entities of HTML.
std::string html_escaped(std::string_view text);

/// A text as a part of Markup: itself if it is Markup, else escaped.
std::string as_markup(const value& text);

/// A text, or the texts in a list or tuple, as Markup; any other value itself.
value marked_up(sandbox& box, const value& value);

}  // namespace coho::trainer::jinja
