#include "tokenizer_json/json_part.hpp"

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

std::string_view mend_or_own_file(std::string_view mend) {
  return mend.empty() ? "put the model's own tokenizer.json there" : mend;
}

}  // namespace

void json_part::refuse(std::string_view what, std::string_view mend) const {
  throw file_error(file_, place_, what, mend_or_own_file(mend));
}

void json_part::refuse(std::string_view member, std::string_view what, std::string_view mend) const {
  throw file_error(file_, place_.empty() ? std::string(member) : place_ + '.' + std::string(member), what,
                   mend_or_own_file(mend));
}

bool json_part::has(std::string_view member) const {
  if (!value_->is_object()) refuse("must be an object");
  const auto found = value_->find(member);
  return found != value_->end() && !found->is_null();
}

json_part json_part::at(std::string_view member) const {
  if (!has(member)) refuse(member, "is missing", {});
  return {*value_->find(member), file_, place_.empty() ? std::string(member) : place_ + '.' + std::string(member)};
}

std::vector<json_part> json_part::items() const {
  if (!value_->is_array()) refuse("must be a list");
  std::vector<json_part> out;
  out.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i)
    out.emplace_back((*value_)[i], file_, place_ + '[' + std::to_string(i) + ']');
  return out;
}

std::string json_part::text(std::string_view member) const {
  const auto part = at(member);
  if (!part.value().is_string()) part.refuse("must be a text");
  return part.value().get<std::string>();
}

std::string json_part::text(std::string_view member, std::string_view otherwise) const {
  return has(member) ? text(member) : std::string(otherwise);
}

bool json_part::flag(std::string_view member, bool otherwise) const {
  if (!has(member)) return otherwise;
  const auto part = at(member);
  if (!part.value().is_boolean()) part.refuse("must be true or false");
  return part.value().get<bool>();
}

std::int64_t json_part::number() const {
  constexpr std::int64_t largest = std::int64_t{1} << 30;
  if (!value_->is_number_integer() || *value_ < 0 || *value_ > largest) refuse("must be a whole number from 0 to 2^30");
  return value_->get<std::int64_t>();
}

std::int64_t json_part::number(std::string_view member) const { return at(member).number(); }

std::string json_part::character(std::string_view member) const {
  auto out = text(member);
  if (utf8_length(out) != out.size() || out.empty()) refuse(member, "must be one character", {});
  return out;
}

}  // namespace coho::trainer
