#include <string>
#include <utility>
#include <vector>

#include <coho/error.hpp>

#include "reference_trainer/chat_template/rendering.hpp"
#include "support/catch.hpp"

using namespace coho::test;
using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;
using nlohmann::ordered_json;

TEST_CASE("chat template: what is malformed is refused with line and column") {
  const std::vector<std::pair<const char*, const char*>> cases{
      {"a\n{{ 1 +", "chat_template: line 2, column 1: a print statement does not end: }} is missing"},
      {"{{ }}", "chat_template: line 1, column 4: expected an expression, got '}}'"},
      {"é{{ 1 2 }}", "chat_template: line 1, column 7: expected }}, got '2'"},
      {"{% if x %}\n{% for i in y %}", "line 2, column 4: the tag 'for' is not closed by 'endfor'"},
      {"{% if x %}{% endfor %}", "unknown tag 'endfor'; expected 'endif'"},
      {"{% endif %}", "unknown tag 'endif'"},
      {"{% frob %}", "unknown tag 'frob'"},
      {"{% %}", "expected the name of a tag"},
      {"{{ (1] }}", "unexpected ']', expected ')'"},
      {"{{ 1) }}", "unexpected ')'"},
      {"{{ 'abc }}", "a string does not end"},
      {"{{ '\\x4' }}", "too few hexadecimal digits"},
      {"{{ '\\ud83d' }}", "half of a surrogate pair"},
      {"{{ '\\U00110000' }}", "beyond the last character"},
      {"{{ '\\N{DASH}' }}", "characters by name, \\N{…}, are not supported"},
      {"{{ 1 $ 2 }}", "unexpected char '$'"},
      {"{{ é }}", "a name with letters beyond ASCII is not supported"},
      {"{# never", "Missing end of comment tag"},
      {"{% raw %} never", "Missing end of raw directive"},
      {"{{ 99999999999999999999 }}", "an integer of more than 64 bits"},
      {"{% set true = 1 %}", "can't assign to 'true'"},
      {"{% for loop in x %}{% endfor %}", "can't assign to the special variable 'loop'"},
      {"{% for ns.a in x %}{% endfor %}", "expected in, got '.'"},
      {"{% break %}", "'break' outside loop"},
      {"{% for i in x %}{% macro f() %}{% continue %}{% endmacro %}{% endfor %}", "'continue' outside loop"},
      {"{% macro f(a=1, b) %}{% endmacro %}", "non-default argument follows default argument"},
      {"{% macro f(a, a) %}{% endmacro %}", "duplicate argument 'a'"},
      {"{{ f(a=1, 2) }}", "invalid syntax for function call expression"},
      {"{{ f(a=1, a=2) }}", "keyword argument repeated: a"},
      {"{{ x[] }}", "expected an expression, got ']'"},
      {"{{ x[1:2:3:4] }}", "expected ], got ':'"},
      {"{{ x is string is number }}", "You cannot chain multiple tests with is"},
      {"\x80", "line 1, column 1: is not UTF-8"},
  };
  for (const auto& [given, expected] : cases) {
    INFO(given);
    CHECK_THAT(failure_of(given), ContainsSubstring(expected));
  }
}

TEST_CASE("chat template: what is not supported is refused by name") {
  const std::vector<std::pair<const char*, const char*>> cases{
      {"{{ x | urlize }}", "line 1, column 8: the filter 'urlize' is not supported"},
      {"{{ x is escaped }}", "line 1, column 9: the test 'escaped' is not supported"},
      {"{% include 'a' %}", "the tag 'include' is not supported in chat templates"},
      {"{% extends 'a' %}", "the tag 'extends' is not supported"},
      {"{% import 'a' as b %}", "the tag 'import' is not supported"},
      {"{% block a %}{% endblock %}", "the tag 'block' is not supported"},
      {"{% call f() %}{% endcall %}", "the tag 'call' is not supported"},
      {"{% for i in x recursive %}{% endfor %}", "recursive loops are not supported"},
      {"{% macro f() %}{{ caller() }}{% endmacro %}", "'caller' in a macro is not supported"},
      {"{{ lipsum() }}", "the function 'lipsum' is not supported"},
      {"{{ 'a'.encode() }}", "'str.encode' is not supported"},
  };
  for (const auto& [given, expected] : cases) {
    INFO(given);
    CHECK_THAT(failure_of(given), ContainsSubstring(expected));
  }
  // Within an if, as in Jinja, only where it is reached.
  CHECK(rendered("{% if false %}{{ x | urlize }}{% endif %}ok").text == "ok");
  CHECK_THAT(failure_of("{% if true %}\n{{ 1 | urlize }}{% endif %}"),
             ContainsSubstring("line 2, column 8: the filter 'urlize'"));
  CHECK(rendered("{{ 1 if true else (2 | urlize) }}").text == "1");
}

TEST_CASE("chat template: what fails while rendering says where and why") {
  const std::vector<std::pair<const char*, const char*>> cases{
      {"\n {{ raise_exception('roles must alternate') }}", "line 2, column 20: roles must alternate"},
      {"{{ x.y }}", "'x' is undefined"},
      {"{{ {}.a.b }}", "'dict object' has no attribute 'a'"},
      {"{{ none.a.b }}", "'None' has no attribute 'a'"},
      {"{{ 'a' + 1 }}", "can only concatenate str (not \"int\") to str"},
      {"{{ 1 + 'a' }}", "unsupported operand type(s) for +: 'int' and 'str'"},
      {"{{ 1 / 0 }}", "division by zero"},
      {"{{ 1 < 'a' }}", "'<' not supported between instances of 'int' and 'str'"},
      {"{% for i in 3 %}{% endfor %}", "'int' object is not iterable"},
      {"{% set a, b = [1] %}", "not enough values to unpack (expected 2, got 1)"},
      {"{% set a, b = [1, 2, 3] %}", "too many values to unpack (expected 2)"},
      {"{{ 1() }}", "'int' object is not callable"},
      {"{{ [1].append(2) }}", "access to attribute 'append' of 'list' object is unsafe."},
      {"{{ {}.update({}) }}", "access to attribute 'update' of 'dict' object is unsafe."},
      {"{{ ''.__class__() }}", "access to attribute '__class__' of 'str' object is unsafe."},
      {"{% set x = 1 %}{% set x.y = 2 %}", "cannot assign attribute on non-namespace object"},
      {"{{ 9223372036854775807 + 1 }}", "an integer of more than 64 bits"},
      {"{{ {[]: 1} }}", "unhashable type: 'list'"},
      {"{{ y | tojson }}", "Object of type Undefined is not JSON serializable"},
      {"{{ [1] | map('upper') }}", "a generator has no text: put `| list` after it"},
      {"{{ range }}", "'range' is a function and has no text: call it"},
      {"{{ 'a'.split('') }}", "empty separator"},
      {"{{ 'a' | replace('a') }}", "replace() missing required argument: 'new'"},
      {"{{ 'a'.strip(1, 2) }}", "strip() takes at most 1 arguments (2 given)"},
      {"{{ '%d' % 'a' }}", "%d format: a real number is required, not str"},
      {"{{ '{}'.format() }}", "Replacement index 0 out of range"},
      {"{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "macro 'f' takes not more than 1 argument(s)"},
      {"{% macro f(a) %}{% endmacro %}{{ f(b=2) }}", "macro 'f' takes no keyword argument 'b'"},
      {"{{ range(0, 5, 0) }}", "range() arg 3 must not be zero"},
      {"{{ 'abc'[::0] }}", "slice step cannot be zero"},
      {"{% filter length %}abc{% endfilter %}", "the filters of a block must make a str, not int"},
  };
  for (const auto& [given, expected] : cases) {
    INFO(given);
    CHECK_THAT(failure_of(given), ContainsSubstring(expected));
  }
}

TEST_CASE("chat template: an error has its parts") {
  try {
    chat_template("a\n{{ 'é' }}{{ raise_exception('no ' ~ n) }}", "tokenizer_config.json").render({{"n", 1}});
    FAIL("must fail");
  } catch (const template_error& error) {
    CHECK(error.line() == 2);
    CHECK(error.column() == 28);
    CHECK(error.cause() == "no 1");
    CHECK(error.path() == "tokenizer_config.json");
  }
}

TEST_CASE("chat template: variables must fit") {
  const chat_template form("{{ x }}");
  CHECK_THROWS_WITH(form.render(ordered_json::array()), ContainsSubstring("must be an object"));
  CHECK_THROWS_WITH(form.render({{"x", 18446744073709551615u}}), ContainsSubstring("beyond 64 bits"));
  ordered_json deep = 1;
  for (int i = 0; i < 101; ++i) deep = ordered_json::array({deep});
  CHECK_THROWS_AS(form.render({{"x", deep}}), coho::argument_error);
  CHECK(form.render({{"x", "a\x80"}}).text == "a\uFFFD");
}
