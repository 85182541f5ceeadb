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
  bool has(std::string_view name) const { return value_.is_object() && value_.contains(name); }
  /// Present and not null: files made from tables have every column in every record.
  bool given(std::string_view name) const { return has(name) && !(*this)[name].is_null(); }
  template <class... Names>
  bool has_all(Names... names) const {
    return (has(names) && ...);
  }
  const json& operator[](std::string_view name) const { return value_.at(std::string(name)); }

  /// A text field; throws if it is missing.
  std::string text(std::string_view name) const;
  /// Absent or null: empty.
  std::string optional_text(std::string_view name) const;
  double number(std::string_view name) const;
  std::optional<double> optional_number(std::string_view name) const;
  bool flag(std::string_view name) const;

  /// The reader at this record.
  const jsonl_reader& at() const { return at_; }

  /// "field "x" is …, expected …" at the record's place.
  [[noreturn]] void wrong(std::string_view name, std::string_view expected) const;
  [[noreturn]] void fail(std::string_view what, std::string_view mend = {}) const { at_.fail(what, mend); }
  /// The record has no known form: lists the fields found and the forms accepted.
  [[noreturn]] void unknown_form(std::string_view kind, std::string_view accepted) const;

 private:
  const json& value_;
  const jsonl_reader& at_;
};

}  // namespace coho::trainer
