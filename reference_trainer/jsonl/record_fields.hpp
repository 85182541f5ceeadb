#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "jsonl/jsonl.hpp"

namespace coho::trainer {

/// Typed access to one JSON record; every error names the file, the line and the field.
class record_fields {
 public:
  record_fields(const json& value, const jsonl_reader& at) : value_(value), at_(at) {}

  bool is_object() const { return value_.is_object(); }
  /// Whether there is such a field, possibly null.
  bool has(std::string_view name) const { return value_.is_object() && value_.contains(name); }
  /// Present and not null: files made from tables have every column in every record.
  bool has_value(std::string_view name) const { return has(name) && !(*this)[name].is_null(); }
  template <class... Names>
  bool has_all(Names... names) const {
    return (has(names) && ...);
  }
  /// The value of a field that there is.
  const json& operator[](std::string_view name) const { return value_.at(std::string(name)); }

  /// A text field; throws if it is missing.
  std::string text(std::string_view name) const;
  /// Absent or null: empty.
  std::string optional_text(std::string_view name) const;
  /// Empty unless the field is text: for names that other projects use for something else.
  std::string text_or_empty(std::string_view name) const;
  /// A number; throws if it is missing or not one.
  double number(std::string_view name) const;
  /// Absent or null: nothing.
  std::optional<double> optional_number(std::string_view name) const;
  /// true or false; throws if it is missing or not one of these.
  bool boolean(std::string_view name) const;

  /// The reader of this record, which knows its place.
  const jsonl_reader& at() const { return at_; }

  /// Throws "field "x" is of type …, expected …" at the record's place.
  [[noreturn]] void fail_type(std::string_view name, std::string_view expected) const;
  [[noreturn]] void fail(std::string_view what, std::string_view mend = {}) const { at_.fail(what, mend); }
  /// Throws for a record of no known form, naming the fields found (12 at most) and the forms accepted.
  [[noreturn]] void fail_unknown_form(std::string_view kind, std::string_view accepted) const;

 private:
  /// Throws if the field is missing.
  void require(std::string_view name) const;

  const json& value_;
  const jsonl_reader& at_;
};

}  // namespace coho::trainer
