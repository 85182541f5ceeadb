#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <coho/error.hpp>

namespace coho::trainer {

/// A chat template that cannot be read, or that failed to render: by its own `raise_exception`, by an operation that
/// Jinja would refuse too, or at one of the bounds of `template_limits`.
///
///     template_error("tokenizer_config.json", 3, 17, "'tool' is undefined").what()
///     // tokenizer_config.json: line 3, column 17: 'tool' is undefined
class template_error : public file_error {
 public:
  template_error(std::string_view name, std::size_t line, std::size_t column, std::string_view cause)
      : file_error(name, "line " + std::to_string(line) + ", column " + std::to_string(column), cause),
        line_(line),
        column_(column),
        cause_(cause) {}

  /// Both from 1; the column in characters.
  std::size_t line() const noexcept { return line_; }
  std::size_t column() const noexcept { return column_; }
  /// What is wrong, without the place: the template's own words if it called `raise_exception`.
  const std::string& cause() const noexcept { return cause_; }

 private:
  std::size_t line_, column_;
  std::string cause_;
};

namespace jinja {

/// A failure before its place in the template is known: the innermost expression or statement makes it a
/// `template_error`.
class failure : public error {
 public:
  using error::error;
};

}  // namespace jinja

}  // namespace coho::trainer
