#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace coho::trainer {

/// Why a text cannot be read as JSON.
struct json_fault {
  std::size_t byte = 0;  ///< where it was found, from 1; one past the end if the text is cut off
  bool cut_off = false;  ///< the text ends within the value
  std::string what;      ///< what is there, if known: "the number 1e999 is larger than a double can hold"
  std::string mend;      ///< what to do about it, if `what` is known
};

/// Reads one JSON value. Whatever the text, a fault is returned and nothing is thrown: numbers that no double can hold
/// are faults, as are Python's NaN and Infinity.
///
///     nlohmann::json value;
///     if (const auto fault = parse_json(R"({"a": 1e999})", value)) report(fault->byte, fault->what);  // 11
std::optional<json_fault> parse_json(std::string_view text, nlohmann::json& value);
/// The same with keys in text order.
std::optional<json_fault> parse_json(std::string_view text, nlohmann::ordered_json& value);

}  // namespace coho::trainer
