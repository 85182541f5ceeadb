#include "jsonl/record_fields.hpp"

namespace coho::trainer {

void record_fields::require(std::string_view name) const {
  if (!has(name)) fail("field \"" + std::string(name) + "\" is missing");
}

std::string record_fields::text(std::string_view name) const {
  require(name);
  if (!(*this)[name].is_string()) fail_type(name, "text");
  return (*this)[name].get<std::string>();
}

std::string record_fields::optional_text(std::string_view name) const {
  return has(name) && !(*this)[name].is_null() ? text(name) : std::string();
}

std::string record_fields::text_or_empty(std::string_view name) const {
  return has(name) && (*this)[name].is_string() ? text(name) : std::string();
}

double record_fields::number(std::string_view name) const {
  require(name);
  if (!(*this)[name].is_number()) fail_type(name, "a number");
  return (*this)[name].get<double>();
}

std::optional<double> record_fields::optional_number(std::string_view name) const {
  return has(name) && !(*this)[name].is_null() ? std::optional(number(name)) : std::nullopt;
}

bool record_fields::boolean(std::string_view name) const {
  require(name);
  if (!(*this)[name].is_boolean()) fail_type(name, "true or false");
  return (*this)[name].get<bool>();
}

void record_fields::fail_type(std::string_view name, std::string_view expected) const {
  const auto type = std::string((*this)[name].type_name());
  fail("field \"" + std::string(name) + "\" is of type " + type + ", expected " + std::string(expected));
}

void record_fields::fail_unknown_form(std::string_view kind, std::string_view accepted) const {
  std::string seen;
  if (value_.is_object()) {
    std::size_t shown = 0;
    for (const auto& [name, ignored] : value_.items()) {
      if (++shown > 12) {
        seen += ", …";
        break;
      }
      seen += (seen.empty() ? "" : ", ") + name.substr(0, 40);
    }
    seen = seen.empty() ? "an empty object" : "a record with the fields " + seen;
  } else {
    seen = "a JSON value of type " + std::string(value_.type_name());
  }
  fail("not a " + std::string(kind) + " record: found " + seen, "accepted are " + std::string(accepted));
}

}  // namespace coho::trainer
