#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "chat_template/template_source.hpp"

namespace coho::trainer::jinja {

/// The text of a string literal, whose content begins at `offset`: escapes are Python's. Throws `template_error` for
/// those that are malformed, name characters, or are halves of surrogate pairs.
std::string unescape_string_literal(const template_source& source, std::size_t offset, std::string_view content);

}  // namespace coho::trainer::jinja
