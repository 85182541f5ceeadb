#include "files/json_text.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "files/json_events.hpp"

namespace coho::trainer {
namespace {

/// Accepts every value and records the place of an invalid one.
class fault_finder : public json_event_types {
 public:
  std::size_t position = 0;
  std::string last;        ///< the token that was read last
  bool too_large = false;  ///< the token is a number that no double can hold

  bool null() { return true; }
  bool boolean(bool) { return true; }
  bool number_integer(number_integer_t) { return true; }
  bool number_unsigned(number_unsigned_t) { return true; }
  bool number_float(number_float_t, const string_t&) { return true; }
  bool string(string_t&) { return true; }
  bool binary(binary_t&) { return true; }
  bool start_object(std::size_t) { return true; }
  bool key(string_t&) { return true; }
  bool end_object() { return true; }
  bool start_array(std::size_t) { return true; }
  bool end_array() { return true; }
  // 406 is the exception of numbers that no double can hold (out_of_range).
  bool parse_error(std::size_t at, const std::string& token, const nlohmann::json::exception& problem) {
    position = at;
    last = token;
    too_large = problem.id == 406;
    return false;
  }
};

// For messages: at most 40 bytes.
std::string shorten_token(const std::string& token) { return token.size() > 40 ? token.substr(0, 40) + "…" : token; }

// The library treats a zero byte as the end of the text.
json_fault zero_byte_fault(std::size_t byte) {
  return {.byte = byte,
          .cut_off = false,
          .what = "a zero byte is not JSON",
          .mend = "the file is damaged or was not written completely: make it or download it again"};
}

// Recognises what is valid in another notation, such as Python's, and says what JSON wants instead.
void explain_notation(std::string_view text, json_fault& fault) {
  constexpr std::array<std::string_view, 2> no_numbers{"NaN", "Infinity"};
  constexpr std::array<std::string_view, 4> python{"'", "True", "False", "None"};
  const std::string_view here = text.substr(fault.byte - 1);
  if (here.front() == '\0') fault = zero_byte_fault(fault.byte);
  for (const auto word : no_numbers) {
    if (!here.starts_with(word)) continue;
    fault.what = std::string(word) + " is Python's, not a JSON number";
    fault.mend = "write null instead";
  }
  for (const auto word : python) {
    if (!here.starts_with(word)) continue;
    fault.what = word == "'" ? "text in single quotes is Python's notation, not JSON"
                             : std::string(word) + " is Python's notation, not JSON";
    fault.mend = "write the values with json.dumps";
  }
}

// The text is parsed again: only the event interface gives the place, and only faulty texts pay for it.
json_fault find_fault(std::string_view text) {
  fault_finder finder;
  nlohmann::json::sax_parse(text.begin(), text.end(), &finder);
  json_fault out{.byte = finder.position, .cut_off = finder.position > text.size(), .what = {}, .mend = {}};
  if (finder.too_large) {
    out.byte -= std::min(out.byte, finder.last.size());
    ++out.byte;
    out.what = "the number " + shorten_token(finder.last) + " is larger than a double can hold";
    out.mend = "write a smaller one, or null";
  } else if (!out.cut_off && out.byte > 0) {
    explain_notation(text, out);
  }
  return out;
}

// `value` is null after a fault.
template <class Json>
std::optional<json_fault> parse_value(std::string_view text, Json& value) {
  value = Json::parse(text.begin(), text.end(), nullptr, false);
  if (value.is_discarded()) {
    value = nullptr;
    return find_fault(text);
  }
  // Not within a string, where control characters are faults; after the value, with everything that follows.
  const auto zero = text.find('\0');
  if (zero == std::string_view::npos) return std::nullopt;
  value = nullptr;
  return zero_byte_fault(zero + 1);
}

}  // namespace

std::optional<json_fault> parse_json(std::string_view text, nlohmann::json& value) { return parse_value(text, value); }
std::optional<json_fault> parse_json(std::string_view text, nlohmann::ordered_json& value) {
  return parse_value(text, value);
}

}  // namespace coho::trainer
