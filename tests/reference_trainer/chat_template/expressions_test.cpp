// Texts are those of Jinja 3.1.6.
#include "reference_trainer/chat_template/rendering.hpp"
#include "support/catch.hpp"

using namespace coho::test;

TEST_CASE("chat template: precedence of operators") {
  check_expressions({
      {R"~(1 + 2 * 3)~", R"~(7)~"},         {R"~(7 // 2 ~ 7 % 4)~", R"~(33)~"},
      {R"~(-7 // 2)~", R"~(-4)~"},          {R"~(-7 % 3)~", R"~(2)~"},
      {R"~(2 ** 3 ** 2)~", R"~(64)~"},      {R"~(-2 ** 2)~", R"~(4)~"},
      {R"~(7 / 2)~", R"~(3.5)~"},           {R"~(6 / 3)~", R"~(2.0)~"},
      {R"~(1 - 2 - 3)~", R"~(-4)~"},        {R"~(not 1 == 2)~", R"~(True)~"},
      {R"~(1 < 2 < 3)~", R"~(True)~"},      {R"~(1 < 3 < 2)~", R"~(False)~"},
      {R"~(true and 0 or 'x')~", R"~(x)~"}, {R"~(1 in [1] == true)~", R"~(False)~"},
      {R"~(2 not in [1])~", R"~(True)~"},   {R"~(7.5 // 2)~", R"~(3.0)~"},
      {R"~(-7.5 % 2)~", R"~(0.5)~"},        {R"~(1e3)~", R"~(1000.0)~"},
      {R"~(1_000)~", R"~(1000)~"},          {R"~(0x1F)~", R"~(31)~"},
      {R"~(true + true)~", R"~(2)~"},       {R"~('a' * 3)~", R"~(aaa)~"},
      {R"~([1] * 2)~", R"~([1, 1])~"},      {R"~(3 * 'ab')~", R"~(ababab)~"},
  });
}

TEST_CASE("chat template: literals and their texts") {
  check_expressions({
      {R"~(1.0)~", R"~(1.0)~"},
      {R"~(1e16)~", R"~(1e+16)~"},
      {R"~(1e-5)~", R"~(1e-05)~"},
      {R"~(0.1 + 0.2)~", R"~(0.30000000000000004)~"},
      {R"~(123456789.125)~", R"~(123456789.125)~"},
      {R"~(-0.0)~", R"~(-0.0)~"},
      {R"~([1, 'a', none, true, 2.0])~", R"~([1, 'a', None, True, 2.0])~"},
      {R"~((1,))~", R"~((1,))~"},
      {R"~(())~", R"~(())~"},
      {R"~({'a': {'b': [none]}})~", R"~({'a': {'b': [None]}})~"},
      {R"~('it\'s')~", R"~(it's)~"},
      {R"~(["it's"])~", R"~(["it's"])~"},
      {R"~(['a\n\t\\é\u200b'])~", R"~(['a\n\t\\é\u200b'])~"},
      {R"~('a' 'b')~", R"~(ab)~"},
      {R"~('\x41\u00e9\101\q')~", R"~(AéA\q)~"},
      {R"~([missing])~", R"~([Undefined])~"},
      {R"~(missing)~", R"~()~"},
      {R"~(none)~", R"~(None)~"},
      {R"~(True)~", R"~(True)~"},
      {R"~({1: 'a', 1.0: 'b', true: 'c'})~", R"~({1: 'c'})~"},
      {R"~(1 if 0)~", R"~()~"},
      {R"~('yes' if n > 3 else 'no')~", R"~(yes)~"},
      {R"~(range(3))~", R"~(range(0, 3))~"},
      {R"~(range(5, 0, -2) | list)~", R"~([5, 3, 1])~"},
      {R"~(dict(a=1, b='x'))~", R"~({'a': 1, 'b': 'x'})~"},
      {R"~(d.items())~", R"~(dict_items([('b', 1), ('a', [1, 2]), ('C', None)]))~"},
      {R"~(d.keys())~", R"~(dict_keys(['b', 'a', 'C']))~"},
  });
}

TEST_CASE("chat template: items, attributes and slices") {
  check_expressions({
      {R"~(s[0])~", R"~(H)~"},
      {R"~(s[-1])~", R"~(d)~"},
      {R"~(s[99])~", R"~()~"},
      {R"~(s[1:4])~", R"~(ell)~"},
      {R"~(s[::-1])~", R"~(dlroW ,olleH)~"},
      {R"~(s[-3:])~", R"~(rld)~"},
      {R"~(s[10:2:-3])~", R"~(lWo)~"},
      {R"~(u[2:4])~", R"~(üß)~"},
      {R"~(u[::-1])~", R"~(eßürG)~"},
      {R"~(u[4])~", R"~(e)~"},
      {R"~(l[1:])~", R"~([1, 2])~"},
      {R"~(l[::-1])~", R"~([2, 1, 3])~"},
      {R"~(l[-1])~", R"~(2)~"},
      {R"~(d.a)~", R"~([1, 2])~"},
      {R"~(d['a'][1])~", R"~(2)~"},
      {R"~(d.missing)~", R"~()~"},
      {R"~(d.items is callable)~", R"~(True)~"},
      {R"~(d['items'] is callable)~", R"~(True)~"},
      {R"~(rows[0].t.u)~", R"~(p)~"},
      {R"~(rows.0.name)~", R"~(x)~"},
      {R"~(s.nope is defined)~", R"~(False)~"},
      {R"~(l['append'] is defined)~", R"~(False)~"},
      {R"~(n[0] is defined)~", R"~(False)~"},
      {R"~((1, 2, 3)[:2])~", R"~((1, 2))~"},
      {R"~(range(10)[2:8:3] | list)~", R"~([2, 5])~"},
  });
}

TEST_CASE("chat template: comparisons and membership") {
  check_expressions({
      {R"~(1 == 1.0)~", R"~(True)~"},
      {R"~('1' == 1)~", R"~(False)~"},
      {R"~([1, [2]] == [1, [2.0]])~", R"~(True)~"},
      {R"~((1, 2) == [1, 2])~", R"~(False)~"},
      {R"~({'a': 1} == {'a': 1.0})~", R"~(True)~"},
      {R"~('a' < 'b')~", R"~(True)~"},
      {R"~([1, 2] < [1, 3])~", R"~(True)~"},
      {R"~('lo' in s)~", R"~(True)~"},
      {R"~('b' in d)~", R"~(True)~"},
      {R"~(3 in l)~", R"~(True)~"},
      {R"~('x' in missing)~", R"~(False)~"},
      {R"~(none == none)~", R"~(True)~"},
      {R"~(missing == other)~", R"~(True)~"},
      {R"~(1 != 2)~", R"~(True)~"},
      {R"~(9007199254740993 == 9007199254740992.0)~", R"~(False)~"},
      {R"~('é' in 'né')~", R"~(True)~"},
  });
}
