#include <algorithm>
#include <iterator>
#include <string>

#include "chat_template/builtins/arithmetic.hpp"
#include "chat_template/builtins/filters.hpp"
#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/comparison.hpp"
#include "chat_template/values/python_text.hpp"
#include "chat_template/values/value_text.hpp"

namespace coho::trainer::jinja {

// A name for this file, so that several files can be compiled as one.
namespace testing {
namespace {

// A test without arguments that depends on the kind of the value.
template <bool (*Is)(const value&)>
bool kind_test(sandbox&, const value& tested, const arguments& given) {
  const parameters none("this test", given, {}, 0);
  return Is(tested);
}

bool is_defined_value(const value& v) { return !v.is_undefined(); }
bool is_undefined_value(const value& v) { return v.is_undefined(); }
bool is_none_value(const value& v) { return v.is_none(); }
bool is_boolean_value(const value& v) { return v.is_kind(kind::boolean); }
// Not Python's truth: the value True itself.
bool is_true_value(const value& v) { return v.is_kind(kind::boolean) && v.integral() != 0; }
// The value False itself.
bool is_false_value(const value& v) { return v.is_kind(kind::boolean) && v.integral() == 0; }
bool is_integer_value(const value& v) { return v.is_kind(kind::integer); }
bool is_float_value(const value& v) { return v.is_kind(kind::real); }
// True and False are numbers, as in Python.
bool is_number_value(const value& v) { return v.is_number(); }
bool is_string_value(const value& v) { return v.is_kind(kind::text); }
bool is_mapping_value(const value& v) { return v.is_kind(kind::dict); }
// Undefined has a length and can be called: to fail.
bool is_callable_value(const value& v) { return v.is_kind(kind::function) || v.is_undefined(); }
bool is_sequence_value(const value& v) {
  return v.is_kind(kind::text) || v.is_sequence() || v.is_kind(kind::dict) || v.is_kind(kind::range) ||
         v.is_undefined();
}
// Whether Python's `iter` takes it.
bool is_iterable_value(const value& v) {
  return is_sequence_value(v) || v.is_kind(kind::view) || v.is_kind(kind::generator) || v.is_kind(kind::loop);
}

// lower: of the text of the value, which need not be a text.
bool lower_test(sandbox& box, const value& tested, const arguments& given) {
  const parameters none("lower", given, {}, 0);
  return is_lower_case(text_of(box, tested));
}

// upper: of the text of the value, which need not be a text.
bool upper_test(sandbox& box, const value& tested, const arguments& given) {
  const parameters none("upper", given, {}, 0);
  return is_upper_case(text_of(box, tested));
}

// Whether `tested % by == remainder`.
bool has_remainder(sandbox& box, const value& tested, const value& by, std::int64_t remainder) {
  return is_equal(box, apply_binary_operator(box, binary_operator::modulo, tested, by), value::integer(remainder));
}

bool odd_test(sandbox& box, const value& tested, const arguments& given) {
  const parameters none("odd", given, {}, 0);
  return has_remainder(box, tested, value::integer(2), 1);
}

bool even_test(sandbox& box, const value& tested, const arguments& given) {
  const parameters none("even", given, {}, 0);
  return has_remainder(box, tested, value::integer(2), 0);
}

// divisibleby(num).
bool divisibleby_test(sandbox& box, const value& tested, const arguments& given) {
  const parameters p("divisibleby", given, {"num"}, 1);
  return has_remainder(box, tested, p[0], 0);
}

// sameas(other): the same object. Small values have no identity here, and are compared.
bool sameas_test(sandbox&, const value& tested, const arguments& given) {
  const parameters p("sameas", given, {"other"}, 1);
  if (tested.kind() != p[0].kind()) return false;
  if (tested.shared_object() != nullptr || p[0].shared_object() != nullptr)
    return tested.shared_object() == p[0].shared_object();
  return tested.is_integral() ? tested.integral() == p[0].integral()
                              : tested.is_none() || tested.number() == p[0].number();
}

// in(seq): `tested in seq`.
bool in_test(sandbox& box, const value& tested, const arguments& given) {
  const parameters p("in", given, {"seq"}, 1);
  return contains(box, p[0], tested);
}

// eq(other) and ne(other).
template <bool Equal>
bool equality_test(sandbox& box, const value& tested, const arguments& given) {
  const positional_parameters p("eq", given, {"other"}, 1);
  return is_equal(box, tested, p[0]) == Equal;
}

// lt, le, gt and ge: with `Swapped` the operands change places.
template <bool (*Compare)(sandbox&, const value&, const value&), bool Swapped>
bool order_test(sandbox& box, const value& tested, const arguments& given) {
  const positional_parameters p("this comparison", given, {"other"}, 1);
  return Swapped ? Compare(box, p[0], tested) : Compare(box, tested, p[0]);
}

constexpr named_test tests[] = {
    {"defined", kind_test<is_defined_value>},
    {"undefined", kind_test<is_undefined_value>},
    {"none", kind_test<is_none_value>},
    {"boolean", kind_test<is_boolean_value>},
    {"true", kind_test<is_true_value>},
    {"false", kind_test<is_false_value>},
    {"integer", kind_test<is_integer_value>},
    {"float", kind_test<is_float_value>},
    {"number", kind_test<is_number_value>},
    {"string", kind_test<is_string_value>},
    {"mapping", kind_test<is_mapping_value>},
    {"sequence", kind_test<is_sequence_value>},
    {"iterable", kind_test<is_iterable_value>},
    {"callable", kind_test<is_callable_value>},
    {"lower", lower_test},
    {"upper", upper_test},
    {"odd", odd_test},
    {"even", even_test},
    {"divisibleby", divisibleby_test},
    {"sameas", sameas_test},
    {"in", in_test},
    {"eq", equality_test<true>},
    {"==", equality_test<true>},
    {"equalto", equality_test<true>},
    {"ne", equality_test<false>},
    {"!=", equality_test<false>},
    {"lt", order_test<is_less, false>},
    {"<", order_test<is_less, false>},
    {"lessthan", order_test<is_less, false>},
    {"le", order_test<is_less_or_equal, false>},
    {"<=", order_test<is_less_or_equal, false>},
    {"gt", order_test<is_less, true>},
    {">", order_test<is_less, true>},
    {"greaterthan", order_test<is_less, true>},
    {"ge", order_test<is_less_or_equal, true>},
    {">=", order_test<is_less_or_equal, true>},
};

}  // namespace
}  // namespace testing

std::span<const named_test> all_tests() { return testing::tests; }

test find_test(std::string_view name) {
  const auto* const found = std::ranges::find(testing::tests, name, &named_test::name);
  return found != std::end(testing::tests) ? found->ask : nullptr;
}

}  // namespace coho::trainer::jinja
