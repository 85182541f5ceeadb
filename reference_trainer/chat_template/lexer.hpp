#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer::jinja {

/// A template's text with its name, for the places of errors.
class template_source {
 public:
  /// Line ends become "\n", and one at the end goes, as in Jinja. Throws `template_error` if the text is not UTF-8 or
  /// longer than `template_bytes`.
  template_source(std::string_view name, std::string_view text);

  const std::string& name() const noexcept { return name_; }
  const std::string& text() const noexcept { return text_; }
  /// Throws `template_error` at a byte of the text.
  [[noreturn]] void refuse(std::size_t offset, std::string_view cause) const;

 private:
  std::string name_, text_;
};

inline constexpr std::size_t template_bytes = std::size_t{1} << 20;

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

  bool is_symbol(std::string_view s) const noexcept { return kind == token_kind::symbol && text == s; }
  bool is_name(std::string_view s) const noexcept { return kind == token_kind::name && text == s; }
};

/// The tokens of a template, the last of kind `end`. White space around tags is removed as Jinja does with trim_blocks
/// and lstrip_blocks: the line break after a block tag or comment, the spaces before one at the start of a line, and
/// all where the tag has a minus. Throws `template_error`.
std::vector<lexed_token> lex(const template_source& source);

}  // namespace coho::trainer::jinja
