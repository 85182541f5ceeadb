#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat_template/lexer.hpp"

namespace coho::trainer::jinja {

/// What the parsers read from: the tokens of a template, and errors at them.
class token_stream {
 public:
  explicit token_stream(const template_source& source) : source_(source), tokens_(tokenize(source)) {}

  /// Where the tokens are from.
  const template_source& source() const noexcept { return source_; }
  /// The next token to be read; at the end of the template, that of kind `end`.
  const lexed_token& current() const noexcept { return tokens_[at_]; }
  /// The token after the current one.
  const lexed_token& lookahead() const noexcept { return tokens_[at_ + (at_ + 1 < tokens_.size() ? 1 : 0)]; }
  /// The byte of the source where the current token begins.
  std::size_t offset() const noexcept { return current().offset; }
  bool is_kind(token_kind kind) const noexcept { return current().kind == kind; }
  bool is_symbol(std::string_view s) const noexcept { return current().is_symbol(s); }
  bool is_keyword(std::string_view s) const noexcept { return current().is_keyword(s); }

  /// Moves past the current token, and returns it.
  const lexed_token& advance() noexcept {
    const auto& out = current();
    if (at_ + 1 < tokens_.size()) ++at_;
    return out;
  }
  /// Move past the current token if it is this one; whether it is.
  bool take_symbol(std::string_view s) noexcept { return is_symbol(s) && (advance(), true); }
  bool take_keyword(std::string_view s) noexcept { return is_keyword(s) && (advance(), true); }
  /// Move past the current token. Throw `template_error` if it is another.
  void expect_symbol(std::string_view s) {
    if (!take_symbol(s)) refuse_token(s);
  }
  void expect_keyword(std::string_view s) {
    if (!take_keyword(s)) refuse_token(s);
  }
  void expect_kind(token_kind kind, std::string_view what) {
    if (!is_kind(kind)) refuse_token(what);
    advance();
  }
  /// The current token, any name. Throws `template_error` if it is not one.
  std::string take_identifier() {
    if (!is_kind(token_kind::name)) refuse_token("a name");
    return advance().text;
  }

  /// Throws `template_error` at the current token.
  [[noreturn]] void refuse_token(std::string_view expected) const {
    refuse(offset(), "expected " + std::string(expected) + ", got '" + current().text.substr(0, 40) + "'");
  }
  /// Throws `template_error` at a byte of the source.
  [[noreturn]] void refuse(std::size_t offset, std::string_view cause) const { source_.refuse(offset, cause); }

 private:
  const template_source& source_;
  std::vector<lexed_token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace coho::trainer::jinja
