#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

namespace coho::trainer::jinja {

/// A format specification of Python: [[fill]align][sign][#][0][width][,][.precision][type].
struct format_specification {
  std::string fill = " ";
  char align = 0;  ///< one of <>=^, or 0 for the type's own
  char sign = '-';
  bool alternate = false, grouped = false;
  std::size_t width = 0;
  std::optional<std::size_t> precision;
  char type = 0;
};

/// Throws `failure` if it is malformed.
format_specification read_specification(std::string_view text);

/// A value in the form of a specification, before it is padded.
std::string formatted(sandbox& box, const value& value, const format_specification& form);
/// Padded to the width.
std::string padded(sandbox& box, std::string text, const format_specification& form, bool number);

/// A number with the digits after the point that `type` (one of eEfFgG) and precision ask for.
std::string real_digits(double x, char type, std::size_t precision, bool alternate);

}  // namespace coho::trainer::jinja
