#include <algorithm>
#include <iterator>
#include <string>

#include "chat_template/builtins/filters.hpp"
#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/operators.hpp"
#include "chat_template/values/python_text.hpp"
#include "chat_template/values/value_text.hpp"

namespace coho::trainer::jinja {

// A name for this file, so that several files can be compiled as one.
namespace testing {
namespace {

template <bool (*Is)(const value&)>
bool asked(sandbox&, const value& tested, const arguments& given) {
  const parameters none("this test", given, {}, 0);
  return Is(tested);
}

bool is_defined(const value& v) { return !v.is_undefined(); }
bool is_undefined(const value& v) { return v.is_undefined(); }
bool is_none(const value& v) { return v.is_none(); }
bool is_boolean(const value& v) { return v.is(kind::boolean); }
bool is_true_value(const value& v) { return v.is(kind::boolean) && v.integral() != 0; }
bool is_false_value(const value& v) { return v.is(kind::boolean) && v.integral() == 0; }
bool is_integer(const value& v) { return v.is(kind::integer); }
bool is_float(const value& v) { return v.is(kind::real); }
bool is_number(const value& v) { return v.is_number(); }
bool is_string(const value& v) { return v.is(kind::text); }
bool is_mapping(const value& v) { return v.is(kind::dict); }
// Undefined has a length and can be called: to fail.
bool is_callable(const value& v) { return v.is(kind::function) || v.is_undefined(); }
bool is_sequence(const value& v) {
  return v.is(kind::text) || v.is_sequence() || v.is(kind::dict) || v.is(kind::range) || v.is_undefined();
}
bool is_iterable(const value& v) {
  return is_sequence(v) || v.is(kind::view) || v.is(kind::generator) || v.is(kind::loop);
}

bool lower_case(sandbox& box, const value& tested, const arguments& given) {
  const parameters none("lower", given, {}, 0);
  return is_lower(text_of(box, tested));
}

bool upper_case(sandbox& box, const value& tested, const arguments& given) {
  const parameters none("upper", given, {}, 0);
  return is_upper(text_of(box, tested));
}

bool leaves(sandbox& box, const value& tested, const value& by, std::int64_t remainder) {
  return equal(box, binary(box, binary_operator::modulo, tested, by), value::integer(remainder));
}

bool odd(sandbox& box, const value& tested, const arguments& given) {
  const parameters none("odd", given, {}, 0);
  return leaves(box, tested, value::integer(2), 1);
}

bool even(sandbox& box, const value& tested, const arguments& given) {
  const parameters none("even", given, {}, 0);
  return leaves(box, tested, value::integer(2), 0);
}

bool divisible(sandbox& box, const value& tested, const arguments& given) {
  const parameters p("divisibleby", given, {"num"}, 1);
  return leaves(box, tested, p[0], 0);
}

bool same(sandbox&, const value& tested, const arguments& given) {
  const parameters p("sameas", given, {"other"}, 1);
  if (tested.kind() != p[0].kind()) return false;
  if (tested.shared() != nullptr || p[0].shared() != nullptr) return tested.shared() == p[0].shared();
  return tested.is_integral() ? tested.integral() == p[0].integral()
                              : tested.is_none() || tested.number() == p[0].number();
}

bool in(sandbox& box, const value& tested, const arguments& given) {
  const parameters p("in", given, {"seq"}, 1);
  return contains(box, p[0], tested);
}

template <bool Equal>
bool equals(sandbox& box, const value& tested, const arguments& given) {
  const parameters p("eq", given, {"other"}, 1);
  return equal(box, tested, p[0]) == Equal;
}

template <bool (*Compare)(sandbox&, const value&, const value&), bool Swapped>
bool compares(sandbox& box, const value& tested, const arguments& given) {
  const parameters p("this comparison", given, {"other"}, 1);
  return Swapped ? Compare(box, p[0], tested) : Compare(box, tested, p[0]);
}

constexpr named_test tests[] = {
    {"defined", asked<is_defined>},
    {"undefined", asked<is_undefined>},
    {"none", asked<is_none>},
    {"boolean", asked<is_boolean>},
    {"true", asked<is_true_value>},
    {"false", asked<is_false_value>},
    {"integer", asked<is_integer>},
    {"float", asked<is_float>},
    {"number", asked<is_number>},
    {"string", asked<is_string>},
    {"mapping", asked<is_mapping>},
    {"sequence", asked<is_sequence>},
    {"iterable", asked<is_iterable>},
    {"callable", asked<is_callable>},
    {"lower", lower_case},
    {"upper", upper_case},
    {"odd", odd},
    {"even", even},
    {"divisibleby", divisible},
    {"sameas", same},
    {"in", in},
    {"eq", equals<true>},
    {"==", equals<true>},
    {"equalto", equals<true>},
    {"ne", equals<false>},
    {"!=", equals<false>},
    {"lt", compares<less, false>},
    {"<", compares<less, false>},
    {"lessthan", compares<less, false>},
    {"le", compares<less_or_equal, false>},
    {"<=", compares<less_or_equal, false>},
    {"gt", compares<less, true>},
    {">", compares<less, true>},
    {"greaterthan", compares<less, true>},
    {"ge", compares<less_or_equal, true>},
    {">=", compares<less_or_equal, true>},
};

}  // namespace
}  // namespace testing

test find_test(std::string_view name) {
  const auto* const found = std::ranges::find(testing::tests, name, &named_test::name);
  return found != std::end(testing::tests) ? found->ask : nullptr;
}

}  // namespace coho::trainer::jinja
