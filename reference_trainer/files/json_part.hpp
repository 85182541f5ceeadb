#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace coho::trainer {

/// A value of a JSON document that knows its place in the file, for reading typed members: whatever is wrong with one
/// is reported there. A member that is null counts as absent. It refers to the document and must not outlive it.
///
///     const json_part config(document, "config.json");
///     config.integer("vocab_size", 32000, 1, 1 << 30);  // 32000 if it is absent, or a file_error
///     config.at("rope_scaling").text("rope_type");      // or: config.json: rope_scaling.rope_type: is missing
///
/// `Json` is nlohmann::json, or nlohmann::ordered_json where the order of members matters.
template <class Json>
class basic_json_part {
 public:
  /// `place`: empty for the document. `mend`: of errors that have none of their own; the text must stay.
  basic_json_part(const Json& value, std::string_view file, std::string place = {}, std::string_view mend = {})
      : value_(&value), file_(file), place_(std::move(place)), mend_(mend) {}

  const Json& value() const noexcept { return *value_; }
  const std::string& place() const noexcept { return place_; }

  /// Throws `file_error` at this place.
  [[noreturn]] void refuse(std::string_view what, std::string_view mend = {}) const;
  /// Throws `file_error` at the place of a member.
  [[noreturn]] void refuse_member(std::string_view member, std::string_view what, std::string_view mend = {}) const;

  /// The member, or null if it is absent or this is not an object.
  const Json* find(std::string_view member) const;
  /// Whether there is such a member; refused if this is not an object.
  bool has(std::string_view member) const;
  /// Whether the member is there and null.
  bool is_null(std::string_view member) const;
  /// The member; refused if it is absent.
  basic_json_part at(std::string_view member) const;
  /// The elements of an array, or of an array that is a member.
  std::vector<basic_json_part> items() const;
  std::vector<basic_json_part> items(std::string_view member) const { return at(member).items(); }

  /// This value as text; refused if it is not a string.
  std::string text() const;
  /// The text of a member that must be there.
  std::string text(std::string_view member) const { return at(member).text(); }
  /// The text of a member, or `otherwise` if it is absent.
  std::string text(std::string_view member, std::string_view otherwise) const;
  /// true or false, or `otherwise` if the member is absent.
  bool boolean(std::string_view member, bool otherwise) const;

  /// This value as an integer within 64 bits, signed.
  std::int64_t integer() const;
  /// Nothing if the member is absent.
  std::optional<std::int64_t> optional_integer(std::string_view member) const;
  /// A member within [low, high], or `otherwise` if it is absent.
  std::int64_t integer(std::string_view member, std::int64_t otherwise, std::int64_t low, std::int64_t high) const;
  /// An id or a count: a whole number from 0 to 2^30.
  std::int64_t whole_number() const;
  /// The same of a member that must be there.
  std::int64_t whole_number(std::string_view member) const { return at(member).whole_number(); }

  /// A finite number; nothing if the member is absent.
  std::optional<double> optional_number(std::string_view member) const;
  /// A number above 0, or `otherwise` if the member is absent.
  double positive(std::string_view member, double otherwise) const;

 private:
  std::string place_of(std::string_view member) const;

  const Json* value_;
  std::string_view file_;
  std::string place_;
  std::string_view mend_;
};

using json_part = basic_json_part<nlohmann::json>;

}  // namespace coho::trainer
