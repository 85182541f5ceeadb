#pragma once

#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "chat_template/chat_template.hpp"
#include "support/catch.hpp"

namespace coho::test {

/// Friday, 2024-07-26, 08:05:09.
inline std::tm fixed_time() {
  std::tm out{};
  out.tm_year = 124, out.tm_mon = 6, out.tm_mday = 26, out.tm_hour = 8, out.tm_min = 5, out.tm_sec = 9;
  out.tm_wday = 5, out.tm_yday = 207;
  return out;
}

inline coho::trainer::rendered_chat rendered(std::string_view text,
                                             const nlohmann::ordered_json& variables = nlohmann::ordered_json::object(),
                                             const coho::trainer::template_limits& limits = {}) {
  return coho::trainer::chat_template(text).render(variables, {.limits = limits, .now = fixed_time});
}

/// The message of reading or rendering a template that must fail.
inline std::string failure_of(std::string_view text,
                              const nlohmann::ordered_json& variables = nlohmann::ordered_json::object(),
                              const coho::trainer::template_limits& limits = {}) {
  try {
    return "rendered: " + rendered(text, variables, limits).text;
  } catch (const coho::trainer::template_error& error) {
    return error.what();
  }
}

inline nlohmann::ordered_json some_variables() {
  return nlohmann::ordered_json::parse(R"({
    "n": 7, "x": 2.5, "s": "Hello, World", "u": "Grüße", "l": [3, 1, 2], "w": ["b", "A", "c"],
    "d": {"b": 1, "a": [1, 2], "C": null},
    "rows": [{"name": "x", "v": 1, "t": {"u": "p"}}, {"name": "Y", "v": 2, "t": {"u": "q"}}]})");
}

struct text_case {
  std::string_view given, expected;
};

inline void check_templates(const std::vector<text_case>& cases) {
  for (const auto& [given, expected] : cases) {
    INFO(given);
    CHECK(rendered(given, some_variables()).text == expected);
  }
}

inline void check_expressions(const std::vector<text_case>& cases) {
  for (const auto& [given, expected] : cases) {
    INFO(given);
    CHECK(rendered("{{ " + std::string(given) + " }}", some_variables()).text == expected);
  }
}

}  // namespace coho::test
