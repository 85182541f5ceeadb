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
  explicit token_stream(const template_source& source) : source_(source), tokens_(lex(source)) {}

  const template_source& source() const noexcept { return source_; }
  const lexed_token& current() const noexcept { return tokens_[at_]; }
  const lexed_token& following() const noexcept { return tokens_[at_ + (at_ + 1 < tokens_.size() ? 1 : 0)]; }
  std::size_t offset() const noexcept { return current().offset; }
  bool is(token_kind kind) const noexcept { return current().kind == kind; }
  bool is_symbol(std::string_view s) const noexcept { return current().is_symbol(s); }
  bool is_name(std::string_view s) const noexcept { return current().is_name(s); }

  const lexed_token& next() noexcept {
    const auto& out = current();
    if (at_ + 1 < tokens_.size()) ++at_;
    return out;
  }
  bool take_symbol(std::string_view s) noexcept { return is_symbol(s) && (next(), true); }
  bool take_name(std::string_view s) noexcept { return is_name(s) && (next(), true); }
  void expect_symbol(std::string_view s) {
    if (!take_symbol(s)) unexpected(s);
  }
  void expect_name(std::string_view s) {
    if (!take_name(s)) unexpected(s);
  }
  void expect(token_kind kind, std::string_view what) {
    if (!is(kind)) unexpected(what);
    next();
  }
  std::string name() {
    if (!is(token_kind::name)) unexpected("a name");
    return next().text;
  }

  [[noreturn]] void unexpected(std::string_view expected) const {
    refuse(offset(), "expected " + std::string(expected) + ", got '" + current().text.substr(0, 40) + "'");
  }
  [[noreturn]] void refuse(std::size_t offset, std::string_view cause) const { source_.refuse(offset, cause); }

 private:
  const template_source& source_;
  std::vector<lexed_token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace coho::trainer::jinja
