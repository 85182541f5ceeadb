#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

/// Values as texts, as in Python. Functions and generators have none: theirs would contain an address.
namespace coho::trainer::jinja {

/// The shortest decimal number that reads as the same double: "1.0", "1e-05", "inf".
std::string real_text(double x);

/// `str(value)`: of Undefined nothing.
std::string text_of(sandbox& box, const value& value);
/// `repr(value)`.
std::string repr_of(sandbox& box, const value& value);

/// The options of `json.dumps`.
struct json_form {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  ///< of each level; none: all on one line
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false;
};

/// `json.dumps(value)`. Throws `failure` for what JSON cannot express, and at `string_bytes`.
std::string json_text_of(sandbox& box, const value& value, const json_form& form);

}  // namespace coho::trainer::jinja
