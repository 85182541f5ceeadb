#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace coho::trainer {

/// A value of a JSON file that knows its place, so that whatever is wrong with it is reported there. It refers to the
/// document and must not outlive it.
///
///     const json_part step(document["pre_tokenizer"], "tokenizer.json", "pre_tokenizer");
///     step.text("behavior");  // or: tokenizer.json: pre_tokenizer.behavior: is missing
class json_part {
 public:
  json_part(const nlohmann::json& value, std::string_view file, std::string place)
      : value_(&value), file_(file), place_(std::move(place)) {}

  const nlohmann::json& value() const noexcept { return *value_; }
  const std::string& place() const noexcept { return place_; }

  /// Throws `file_error` at this place, or at a member of it. The mend is the model's own file unless given.
  [[noreturn]] void refuse(std::string_view what, std::string_view mend = {}) const;
  [[noreturn]] void refuse(std::string_view member, std::string_view what, std::string_view mend) const;

  /// Whether there is such a member other than null.
  bool has(std::string_view member) const;
  /// The member; refused if it is missing or null.
  json_part at(std::string_view member) const;
  /// The elements of an array, or of an array that is a member.
  std::vector<json_part> items() const;
  std::vector<json_part> items(std::string_view member) const { return at(member).items(); }

  std::string text(std::string_view member) const;
  std::string text(std::string_view member, std::string_view otherwise) const;
  bool flag(std::string_view member, bool otherwise) const;
  /// A whole number from 0 to 2^30.
  std::int64_t number(std::string_view member) const;
  std::int64_t number() const;
  /// A member that is one character.
  std::string character(std::string_view member) const;
  /// The member "type", by which parts are told apart.
  std::string type() const { return text("type"); }

 private:
  const nlohmann::json* value_;
  std::string_view file_;
  std::string place_;
};

}  // namespace coho::trainer
