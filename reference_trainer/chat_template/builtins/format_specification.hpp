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

/// The form in a field of `str.format`. Throws `failure` if it is malformed, or wider than ten million.
format_specification parse_format_specification(std::string_view text);

/// Python's `format(value, specification)` without the padding. Throws `failure` for a type that does not fit the
/// value, a sign, `#`, comma or `=` with a text, a precision with an integer, and more than 1000 digits.
std::string format_value(sandbox& box, const value& value, const format_specification& form);
/// Filled up to the width. `number`: aligned to the right if the specification does not say. Throws `failure` at
/// `string_bytes`.
std::string pad_to_width(sandbox& box, std::string text, const format_specification& form, bool number);

/// `x` as printf's conversion `type` (one of eEfFgG) prints it; `alternate` is its flag `#`. Throws `failure` beyond
/// 1000 digits.
std::string real_digits(double x, char type, std::size_t precision, bool alternate);

}  // namespace coho::trainer::jinja
