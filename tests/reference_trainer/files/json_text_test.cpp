#include "files/json_text.hpp"

#include <string>

#include <nlohmann/json.hpp>

#include <coho/rng.hpp>

#include "support/catch.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

json_fault json_fault_of(const std::string& text) {
  nlohmann::json value;
  const auto fault = parse_json(text, value);
  INFO(text);
  REQUIRE(fault.has_value());
  CHECK(value.is_null());
  return *fault;
}

}  // namespace

TEST_CASE("json text: values are read, in either order of keys") {
  nlohmann::json sorted;
  nlohmann::ordered_json kept;
  CHECK_FALSE(parse_json(R"({"b": [1, -2.5e3, "é"], "a": null})", sorted));
  CHECK_FALSE(parse_json(R"({"b": [1, -2.5e3, "é"], "a": null})", kept));
  CHECK(sorted.dump() == R"({"a":null,"b":[1,-2500.0,"é"]})");
  CHECK(kept.begin().key() == "b");
}

TEST_CASE("json text: a number that no double holds is a fault at its first digit") {
  const auto fault = json_fault_of(R"({"a": 1e999})");
  CHECK(fault.byte == 7);
  CHECK(fault.what == "the number 1e999 is larger than a double can hold");
  CHECK_FALSE(fault.cut_off);
  CHECK(json_fault_of("-1e400").byte == 1);
  CHECK(json_fault_of(R"({"a": [[1, {"b": [-1E+309]}]]})").byte == 19);
  CHECK(json_fault_of("[" + std::string(400, '9') + "]").what.size() < 120);
  nlohmann::json value;
  CHECK_FALSE(parse_json("[1e308, -1.7976931348623157e308, 1e-999, 18446744073709551616]", value));
}

TEST_CASE("json text: Python's notation is named, with its place") {
  auto fault = json_fault_of(R"({"score": NaN})");
  CHECK(fault.byte == 11);
  CHECK_THAT(fault.what, ContainsSubstring("NaN is Python's"));
  CHECK_THAT(fault.mend, ContainsSubstring("write null"));
  CHECK_THAT(json_fault_of("[-Infinity]").what, ContainsSubstring("Infinity"));
  CHECK_THAT(json_fault_of("{'a': 1}").what, ContainsSubstring("single quotes"));
  CHECK_THAT(json_fault_of(R"({"a": None})").what, ContainsSubstring("None"));
  CHECK_THAT(json_fault_of(R"({"a": True})").mend, ContainsSubstring("json.dumps"));
  CHECK(json_fault_of(R"({"a":})").what.empty());
  CHECK(json_fault_of(R"({"a":)").cut_off);
}

TEST_CASE("json text: a zero byte ends no value, so that nothing behind it goes unread") {
  using namespace std::string_literals;
  CHECK(json_fault_of("{\"a\": 1}\0{\"b\": 2}"s).byte == 9);
  CHECK(json_fault_of("[1]\0"s).byte == 4);
  CHECK(json_fault_of("[1\0]"s).byte == 3);
  CHECK(json_fault_of("\0\0"s).byte == 1);
  for (const auto& text : {"7 \0"s, "[1,\0"s, "\0{}"s})
    CHECK_THAT(json_fault_of(text).what, ContainsSubstring("zero byte"));
  nlohmann::ordered_json kept;
  CHECK(parse_json("{}\0"s, kept).has_value());
  CHECK_FALSE(parse_json(R"(["\u0000"])", kept));
}

TEST_CASE("json text: whatever the bytes, nothing is thrown, and the verdict is the library's but for zero bytes") {
  const std::string from = R"({"a":[1e308,-2,"x\u00e9",null,{"b":true}]} )";
  coho::rng random(7);
  for (int i = 0; i < 20000; ++i) {
    std::string text = from.substr(0, 1 + random.index(from.size()));
    for (std::uint64_t k = random.index(4); k > 0; --k) {
      const auto at = random.index(text.size());
      switch (random.index(4)) {
        case 0:
          text[at] = static_cast<char>(random.index(256));
          break;
        case 1:
          text.insert(at, "9e99");
          break;
        case 2:
          text.erase(at, 1);
          break;
        default:
          text.insert(at, 1, "{}[]\",:-1e"[random.index(10)]);
      }
      if (text.empty()) text = "{";
    }
    nlohmann::json value;
    const auto fault = parse_json(text, value);
    INFO(text);
    REQUIRE(fault.has_value() != (nlohmann::json::accept(text) && text.find('\0') == std::string::npos));
    if (fault) REQUIRE(fault->byte <= text.size() + 1);
  }
}
