#pragma once

#include <span>
#include <string_view>

#include "chat_template/values/sandbox.hpp"
#include "chat_template/values/value.hpp"

namespace coho::trainer::jinja {

/// What `input | name(arguments)` does.
using filter = value (*)(sandbox& box, const value& input, const arguments& given);

struct named_filter {
  std::string_view name;
  filter apply;
};

/// Jinja's filter of that name, with the `tojson` of transformers, or null if there is none or it is not supported.
filter find_filter(std::string_view name);

/// The filters by file: those that give texts, numbers, sequences or items, and generators that apply other filters and
/// tests.
std::span<const named_filter> text_filters();
std::span<const named_filter> number_filters();
std::span<const named_filter> sequence_filters();
std::span<const named_filter> lazy_filters();

/// What `value is name(arguments)` asks.
using test = bool (*)(sandbox& box, const value& tested, const arguments& given);

struct named_test {
  std::string_view name;
  test ask;
};

std::span<const named_test> all_tests();
/// Jinja's test of that name, or null if there is none or it is not supported.
test find_test(std::string_view name);

/// `object` followed along an attribute's path, as filters take it: "function.name", "0", or a whole number. What is
/// missing on the way is `otherwise`, unless that is None.
value follow_attribute(sandbox& box, value object, const value& path, const value& otherwise = {});

/// The key by which filters compare without case: a text in lower case, any other value itself.
value lower_case_key(sandbox& box, const value& value);

}  // namespace coho::trainer::jinja
