// Texts are those of Jinja 3.1.6.
#include "reference_trainer/chat_template/rendering.hpp"
#include "support/catch.hpp"

using namespace coho::test;

TEST_CASE("chat template: filters of texts") {
  check_expressions({
      {R"~('  a ' | trim)~", R"~(a)~"},
      {R"~('xxaxx' | trim('x'))~", R"~(a)~"},
      {R"~(u | upper)~", R"~(GRÜSSE)~"},
      {R"~('ÀÉ' | lower)~", R"~(àé)~"},
      {R"~('hello wORLD-foo (bar)' | title)~", R"~(Hello World-Foo (Bar))~"},
      {R"~('hELLO' | capitalize)~", R"~(Hello)~"},
      {R"~(s | replace('l', 'L'))~", R"~(HeLLo, WorLd)~"},
      {R"~(s | replace('l', '', 2))~", R"~(Heo, World)~"},
      {R"~(n | replace(7, 8))~", R"~(8)~"},
      {R"~(s | length)~", R"~(12)~"},
      {R"~('a\nb\n\nc' | indent)~", R"~(a
    b

    c)~"},
      {R"~('a\nb' | indent(2, true))~", R"~(  a
  b)~"},
      {R"~('a\n\nb' | indent('> ', blank=true))~", R"~(a
> 
> b)~"},
      {R"~('<a href="x">&' | e)~", R"~(&lt;a href=&#34;x&#34;&gt;&amp;)~"},
      {R"~(('<b>' | safe) + '<i>')~", R"~(<b>&lt;i&gt;)~"},
      {R"~(['<' | e])~", R"~([Markup('&lt;')])~"},
      {R"~(12 | string | length)~", R"~(2)~"},
      {R"~('one two, three' | wordcount)~", R"~(3)~"},
      {R"~('ab' | center(6) ~ '|')~", R"~(  ab  |)~"},
      {R"~('%s is %d' | format('x', 3))~", R"~(x is 3)~"},
      {R"~('%(a)s-%(b)05.1f' | format(a=1, b=2.25))~", R"~(1-002.2)~"},
      {R"~('ab' | reverse)~", R"~(ba)~"},
      {R"~(none | string)~", R"~(None)~"},
      {R"~(missing | upper)~", R"~()~"},
      {R"~('ß' | upper)~", R"~(SS)~"},
      {R"~('ΑΣ ΑΣΑ' | lower)~", R"~(ας ασα)~"},
  });
}

TEST_CASE("chat template: filters of numbers") {
  check_expressions({
      {R"~('42' | int)~", R"~(42)~"},
      {R"~(' 42.9 ' | int)~", R"~(42)~"},
      {R"~('x' | int)~", R"~(0)~"},
      {R"~('x' | int(5))~", R"~(5)~"},
      {R"~('ff' | int(base=16))~", R"~(255)~"},
      {R"~('0x1f' | int(0, 0))~", R"~(31)~"},
      {R"~(2.9 | int)~", R"~(2)~"},
      {R"~(-2.9 | int)~", R"~(-2)~"},
      {R"~(true | int)~", R"~(1)~"},
      {R"~('1_000' | int)~", R"~(1000)~"},
      {R"~('2.5e3' | float)~", R"~(2500.0)~"},
      {R"~('x' | float)~", R"~(0.0)~"},
      {R"~(3 | float)~", R"~(3.0)~"},
      {R"~(-3 | abs)~", R"~(3)~"},
      {R"~(-2.5 | abs)~", R"~(2.5)~"},
      {R"~(2.5 | round)~", R"~(2.0)~"},
      {R"~(3.5 | round)~", R"~(4.0)~"},
      {R"~(2.675 | round(2))~", R"~(2.67)~"},
      {R"~(2.55 | round(1, 'ceil'))~", R"~(2.6)~"},
      {R"~(2.55 | round(1, 'floor'))~", R"~(2.5)~"},
      {R"~(1234 | round(-2))~", R"~(1200)~"},
      {R"~(7 | round(1, 'ceil'))~", R"~(7.0)~"},
  });
}

TEST_CASE("chat template: filters of sequences") {
  check_expressions({
      {R"~(l | first)~", R"~(3)~"},
      {R"~(l | last)~", R"~(2)~"},
      {R"~([] | first)~", R"~()~"},
      {R"~(l | sort)~", R"~([1, 2, 3])~"},
      {R"~(l | sort(reverse=true))~", R"~([3, 2, 1])~"},
      {R"~(w | sort)~", R"~(['A', 'b', 'c'])~"},
      {R"~(w | sort(case_sensitive=true))~", R"~(['A', 'b', 'c'])~"},
      {R"~(rows | sort(attribute='name') | map(attribute='v') | list)~", R"~([1, 2])~"},
      {R"~(l | sum)~", R"~(6)~"},
      {R"~(rows | sum('v'))~", R"~(3)~"},
      {R"~(rows | sum(attribute='v', start=10))~", R"~(13)~"},
      {R"~(l | min)~", R"~(1)~"},
      {R"~(l | max)~", R"~(3)~"},
      {R"~(w | min)~", R"~(A)~"},
      {R"~(['a', 'A', 'b'] | unique | list)~", R"~(['a', 'b'])~"},
      {R"~(l | join)~", R"~(312)~"},
      {R"~(l | join(', '))~", R"~(3, 1, 2)~"},
      {R"~(rows | join('/', attribute='name'))~", R"~(x/Y)~"},
      {R"~('abc' | list)~", R"~(['a', 'b', 'c'])~"},
      {R"~(d | list)~", R"~(['b', 'a', 'C'])~"},
      {R"~(d | items | list)~", R"~([('b', 1), ('a', [1, 2]), ('C', None)])~"},
      {R"~(d | dictsort)~", R"~([('a', [1, 2]), ('b', 1), ('C', None)])~"},
      {R"~(d | dictsort(reverse=true))~", R"~([('C', None), ('b', 1), ('a', [1, 2])])~"},
      {R"~(l | reverse | list)~", R"~([2, 1, 3])~"},
      {R"~(missing | default('x'))~", R"~(x)~"},
      {R"~('' | default('x'))~", R"~()~"},
      {R"~('' | default('x', true))~", R"~(x)~"},
      {R"~(none | d('x'))~", R"~(None)~"},
      {R"~([1, 2, 3, 4, 5] | batch(2) | list)~", R"~([[1, 2], [3, 4], [5]])~"},
      {R"~([1, 2, 3] | batch(2, 0) | list)~", R"~([[1, 2], [3, 0]])~"},
      {R"~(w | map('upper') | join)~", R"~(BAC)~"},
      {R"~(rows | map(attribute='t.u') | list)~", R"~(['p', 'q'])~"},
      {R"~(rows | map(attribute='zz', default='-') | list)~", R"~(['-', '-'])~"},
      {R"~([1, none, 0, 'a'] | select | list)~", R"~([1, 'a'])~"},
      {R"~([1, none, 0, 'a'] | reject('none') | list)~", R"~([1, 0, 'a'])~"},
      {R"~(l | select('gt', 1) | list)~", R"~([3, 2])~"},
      {R"~(rows | selectattr('v', 'equalto', 2) | map(attribute='name') | list)~", R"~(['Y'])~"},
      {R"~(rows | rejectattr('v', 'odd') | list | length)~", R"~(1)~"},
      {R"~('a' | attr('upper') is callable)~", R"~(True)~"},
      {R"~(1 if [] | select else 2)~", R"~(1)~"},
  });
}

TEST_CASE("chat template: tojson") {
  check_expressions({
      {R"~(d | tojson)~", R"~({"b": 1, "a": [1, 2], "C": null})~"},
      {R"~(rows | tojson(indent=2))~", R"~([
  {
    "name": "x",
    "v": 1,
    "t": {
      "u": "p"
    }
  },
  {
    "name": "Y",
    "v": 2,
    "t": {
      "u": "q"
    }
  }
])~"},
      {R"~({'b': [], 'a': {}} | tojson(indent=1))~", R"~({
 "b": [],
 "a": {}
})~"},
      {R"~({'b': 1, 'a': 2} | tojson(sort_keys=true))~", R"~({"a": 2, "b": 1})~"},
      {R"~([1, 2.0, 1e30, true, none] | tojson)~", R"~([1, 2.0, 1e+30, true, null])~"},
      {R"~("é<>&'\" \\ \n \x01 \x7f" | tojson)~", R"~("é<>&'\" \\ \n \u0001 ")~"},
      {R"~('é🎉\x7f' | tojson(ensure_ascii=true))~", R"~("\u00e9\ud83c\udf89\u007f")~"},
      {R"~([1, {'a': 2}] | tojson(separators=(',', ':')))~", R"~([1,{"a":2}])~"},
      {R"~({1: 'a', none: 'b', true: 'c', 2.5: 'd'} | tojson)~", R"~({"1": "c", "null": "b", "2.5": "d"})~"},
      {R"~((1, 2) | tojson)~", R"~([1, 2])~"},
      {R"~([1] | tojson(indent='--'))~", R"~([
--1
])~"},
  });
}

TEST_CASE("chat template: tests") {
  check_expressions({
      {R"~(x is defined)~", R"~(True)~"},
      {R"~(y is defined)~", R"~(False)~"},
      {R"~(y is undefined)~", R"~(True)~"},
      {R"~(none is none)~", R"~(True)~"},
      {R"~(s is string)~", R"~(True)~"},
      {R"~(n is number)~", R"~(True)~"},
      {R"~(n is integer)~", R"~(True)~"},
      {R"~(x is float)~", R"~(True)~"},
      {R"~(true is boolean)~", R"~(True)~"},
      {R"~(true is number)~", R"~(True)~"},
      {R"~(true is integer)~", R"~(False)~"},
      {R"~(1 is true)~", R"~(False)~"},
      {R"~(false is false)~", R"~(True)~"},
      {R"~(d is mapping)~", R"~(True)~"},
      {R"~(l is iterable)~", R"~(True)~"},
      {R"~(n is iterable)~", R"~(False)~"},
      {R"~(s is sequence)~", R"~(True)~"},
      {R"~(d is sequence)~", R"~(True)~"},
      {R"~(range is callable)~", R"~(True)~"},
      {R"~('abc' is lower)~", R"~(True)~"},
      {R"~('ABC' is upper)~", R"~(True)~"},
      {R"~(3 is odd)~", R"~(True)~"},
      {R"~(4 is even)~", R"~(True)~"},
      {R"~(9 is divisibleby 3)~", R"~(True)~"},
      {R"~(9 is divisibleby(2))~", R"~(False)~"},
      {R"~(none is sameas none)~", R"~(True)~"},
      {R"~(2 is in [1, 2])~", R"~(True)~"},
      {R"~(n is gt 3)~", R"~(True)~"},
      {R"~(n is le 7)~", R"~(True)~"},
      {R"~(n is eq 7 and n is not ne 7)~", R"~(True)~"},
      {R"~(n is not none)~", R"~(True)~"},
      {R"~(missing is iterable)~", R"~(True)~"},
      {R"~('a' is not in ['a'])~", R"~(False)~"},
  });
}
