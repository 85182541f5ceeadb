#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

namespace coho::trainer::jinja {

/// The arguments of a built-in function, bound to its parameters. Throws `failure` for those that are missing, unknown,
/// given twice or of the wrong type.
///
///     const parameters p("replace", given, {"old", "new", "count"}, 2);
///     p.integer(2, -1);  // the count, or -1
class parameters {
 public:
  parameters(std::string_view function, const arguments& given, std::initializer_list<std::string_view> names,
             std::size_t required);

  /// `i`: the number of the parameter, here and below.
  bool is_given(std::size_t i) const noexcept { return values_[i] != nullptr; }
  /// A parameter that is given.
  const value& operator[](std::size_t i) const noexcept { return *values_[i]; }
  /// None if it is not given.
  value value_or_none(std::size_t i) const { return is_given(i) ? *values_[i] : value(); }

  /// Those with `otherwise` give it if the parameter is not given; the others need it given. Throw `failure` for
  /// another type.
  const std::string& text(std::size_t i) const;
  std::string text(std::size_t i, std::string_view otherwise) const;
  std::int64_t integer(std::size_t i) const;
  std::int64_t integer(std::size_t i, std::int64_t otherwise) const { return is_given(i) ? integer(i) : otherwise; }
  /// Python's truth of what is given.
  bool flag(std::size_t i, bool otherwise) const { return is_given(i) ? is_true(*values_[i]) : otherwise; }

  /// The same where Python asks for an integer.
  bool whole_flag(std::size_t i, bool otherwise) const { return is_given(i) ? integer(i) != 0 : otherwise; }

  /// Throws `failure` that names function, parameter and the type that was expected.
  [[noreturn]] void refuse_type(std::size_t i, std::string_view expected) const;

 private:
  std::string function_;
  std::vector<std::string_view> names_;
  std::vector<const value*> values_;
};

/// The same for Python's own functions, which take no argument by name.
class positional_parameters : public parameters {
 public:
  positional_parameters(std::string_view function, const arguments& given,
                        std::initializer_list<std::string_view> names, std::size_t required);
};

}  // namespace coho::trainer::jinja
