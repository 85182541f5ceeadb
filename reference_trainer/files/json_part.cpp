#include "files/json_part.hpp"

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

namespace coho::trainer {

template <class Json>
std::string basic_json_part<Json>::place_of(std::string_view member) const {
  return place_.empty() ? std::string(member) : place_ + '.' + std::string(member);
}

template <class Json>
void basic_json_part<Json>::refuse(std::string_view what, std::string_view mend) const {
  throw file_error(file_, place_, what, mend.empty() ? mend_ : mend);
}

template <class Json>
void basic_json_part<Json>::refuse_member(std::string_view member, std::string_view what, std::string_view mend) const {
  throw file_error(file_, place_of(member), what, mend.empty() ? mend_ : mend);
}

template <class Json>
const Json* basic_json_part<Json>::find(std::string_view member) const {
  const auto found = value_->find(std::string(member));
  return found == value_->end() || found->is_null() ? nullptr : &*found;
}

template <class Json>
bool basic_json_part<Json>::has(std::string_view member) const {
  if (!value_->is_object()) refuse("must be an object");
  return find(member) != nullptr;
}

template <class Json>
bool basic_json_part<Json>::is_null(std::string_view member) const {
  const auto found = value_->find(std::string(member));
  return found != value_->end() && found->is_null();
}

template <class Json>
basic_json_part<Json> basic_json_part<Json>::at(std::string_view member) const {
  if (!has(member)) refuse_member(member, "is missing");
  return {*find(member), file_, place_of(member), mend_};
}

template <class Json>
std::vector<basic_json_part<Json>> basic_json_part<Json>::items() const {
  if (!value_->is_array()) refuse("must be a list");
  std::vector<basic_json_part> out;
  out.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i)
    out.emplace_back((*value_)[i], file_, place_ + '[' + std::to_string(i) + ']', mend_);
  return out;
}

template <class Json>
std::string basic_json_part<Json>::text() const {
  if (!value_->is_string()) refuse("must be a string");
  return value_->template get<std::string>();
}

template <class Json>
std::string basic_json_part<Json>::text(std::string_view member, std::string_view otherwise) const {
  return has(member) ? text(member) : std::string(otherwise);
}

template <class Json>
bool basic_json_part<Json>::boolean(std::string_view member, bool otherwise) const {
  if (!has(member)) return otherwise;
  const auto& value = *find(member);
  if (!value.is_boolean()) refuse_member(member, "must be true or false");
  return value.template get<bool>();
}

template <class Json>
std::int64_t basic_json_part<Json>::integer() const {
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!value_->is_number_integer() || (value_->is_number_unsigned() && value_->template get<std::uint64_t>() > largest))
    refuse("must be an integer");
  return value_->template get<std::int64_t>();
}

template <class Json>
std::optional<std::int64_t> basic_json_part<Json>::optional_integer(std::string_view member) const {
  return has(member) ? std::optional(at(member).integer()) : std::nullopt;
}

template <class Json>
std::int64_t basic_json_part<Json>::integer(std::string_view member, std::int64_t otherwise, std::int64_t low,
                                            std::int64_t high) const {
  const auto value = optional_integer(member).value_or(otherwise);
  if (value < low || value > high)
    refuse_member(member, std::to_string(value) + " is outside " + std::to_string(low) + " to " + std::to_string(high));
  return value;
}

template <class Json>
std::int64_t basic_json_part<Json>::whole_number() const {
  constexpr std::int64_t largest = std::int64_t{1} << 30;
  if (!value_->is_number_integer() || *value_ < 0 || *value_ > largest) refuse("must be a whole number from 0 to 2^30");
  return value_->template get<std::int64_t>();
}

template <class Json>
std::optional<double> basic_json_part<Json>::optional_number(std::string_view member) const {
  if (!has(member)) return std::nullopt;
  const auto& value = *find(member);
  if (!value.is_number() || !std::isfinite(value.template get<double>())) refuse_member(member, "must be a number");
  return value.template get<double>();
}

template <class Json>
double basic_json_part<Json>::positive(std::string_view member, double otherwise) const {
  const auto value = optional_number(member).value_or(otherwise);
  if (!(value > 0)) refuse_member(member, "must be above 0");
  return value;
}

template class basic_json_part<nlohmann::json>;
template class basic_json_part<nlohmann::ordered_json>;

}  // namespace coho::trainer
