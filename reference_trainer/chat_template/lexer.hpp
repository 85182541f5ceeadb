#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat_template/template_source.hpp"

namespace coho::trainer::jinja {

enum class token_kind : std::uint8_t {
  data,            ///< text outside of tags
  block_begin,     ///< {%
  block_end,       ///< %}
  variable_begin,  ///< {{
  variable_end,    ///< }}
  name,
  string,
  integer,
  real,
  symbol,  ///< an operator or a bracket
  end,
};

struct lexed_token {
  token_kind kind;
  std::size_t offset;  ///< of its first byte in the source
  std::string text;    ///< the data, name, symbol, or content of the string
  std::int64_t integer = 0;
  double real = 0;

  /// Whether it is this operator or bracket.
  bool is_symbol(std::string_view s) const noexcept { return kind == token_kind::symbol && text == s; }
  /// Whether it is this name: the words of Jinja's grammar are names in other places.
  bool is_keyword(std::string_view s) const noexcept { return kind == token_kind::name && text == s; }
};

/// The tokens of a template, the last of kind `end`. White space around tags is removed as Jinja does with trim_blocks
/// and lstrip_blocks: the line break after a block tag or comment, the spaces before one at the start of a line, and
/// all where the tag has a minus. Throws `template_error`.
std::vector<lexed_token> tokenize(const template_source& source);

}  // namespace coho::trainer::jinja
