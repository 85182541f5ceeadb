#pragma once

#include <string>
#include <string_view>

namespace coho::trainer {

/// Length in bytes of the well-formed UTF-8 character at the start of `text`, or 0 where there is none (overlong forms,
/// surrogates and numbers above U+10FFFF are not characters).
std::size_t utf8_length(std::string_view text) noexcept;

bool is_utf8(std::string_view text) noexcept;

/// Each byte that is not part of a character becomes U+FFFD.
std::string repair_utf8(std::string_view text);

}  // namespace coho::trainer
