#pragma once

#include <nlohmann/json.hpp>

namespace coho::trainer {

/// The types that nlohmann::json::sax_parse looks up in a receiver of its events: a base of such classes.
struct json_event_types {
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;
};

}  // namespace coho::trainer
