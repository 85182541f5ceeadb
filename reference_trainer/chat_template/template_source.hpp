#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace coho::trainer::jinja {

inline constexpr std::size_t max_template_bytes = std::size_t{1} << 20;

/// A template's text with its name, for the places of errors.
class template_source {
 public:
  /// Line ends become "\n", and one at the end goes, as in Jinja. Throws `template_error` if the text is not UTF-8 or
  /// longer than `max_template_bytes`.
  template_source(std::string_view name, std::string_view text);

  const std::string& name() const noexcept { return name_; }
  /// After the changes of line ends; every `offset` of this room is a byte of it.
  const std::string& text() const noexcept { return text_; }
  /// Throws `template_error` with the line and column of a byte of the text.
  [[noreturn]] void refuse(std::size_t offset, std::string_view cause) const;

 private:
  std::string name_, text_;
};

}  // namespace coho::trainer::jinja
