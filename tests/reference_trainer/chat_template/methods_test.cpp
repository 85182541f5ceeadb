// Texts are those of Jinja 3.1.6.
#include "reference_trainer/chat_template/rendering.hpp"
#include "support/catch.hpp"

using namespace coho::test;

TEST_CASE("chat template: methods of str") {
  check_expressions({
      {R"~('  a b '.strip() ~ '|')~", R"~(a b|)~"},
      {R"~('xxaxx'.lstrip('x'))~", R"~(axx)~"},
      {R"~('xxaxx'.rstrip('x'))~", R"~(xxa)~"},
      {R"~('a,b,,c'.split(','))~", R"~(['a', 'b', '', 'c'])~"},
      {R"~(' a  b '.split())~", R"~(['a', 'b'])~"},
      {R"~('a b c'.split(none, 1))~", R"~(['a', 'b c'])~"},
      {R"~('a b c'.rsplit(' ', 1))~", R"~(['a b', 'c'])~"},
      {R"~('  a  b  '.split(none, 1))~", R"~(['a', 'b  '])~"},
      {R"~('  a  b  '.rsplit(none, 1))~", R"~(['  a', 'b'])~"},
      {R"~('abc'.split('b', maxsplit=0))~", R"~(['abc'])~"},
      {R"~('a\nb\r\nc\n'.splitlines())~", R"~(['a', 'b', 'c'])~"},
      {R"~('a\nb'.splitlines(true))~", R"~(['a\n', 'b'])~"},
      {R"~(s.startswith('He'))~", R"~(True)~"},
      {R"~(s.endswith(('x', 'ld')))~", R"~(True)~"},
      {R"~(s.startswith('l', 2))~", R"~(True)~"},
      {R"~(s.find('o'))~", R"~(4)~"},
      {R"~(s.find('o', 5))~", R"~(8)~"},
      {R"~(s.rfind('o'))~", R"~(8)~"},
      {R"~(u.find('e'))~", R"~(4)~"},
      {R"~(s.index('W'))~", R"~(7)~"},
      {R"~(s.count('l'))~", R"~(3)~"},
      {R"~('aaa'.count('aa'))~", R"~(1)~"},
      {R"~('abc'.count(''))~", R"~(4)~"},
      {R"~('-'.join(w))~", R"~(b-A-c)~"},
      {R"~(s.replace('l', 'L', 1))~", R"~(HeLlo, World)~"},
      {R"~('ab'.replace('', '-'))~", R"~(-a-b-)~"},
      {R"~('abc'.removeprefix('a'))~", R"~(bc)~"},
      {R"~('abc'.removesuffix('c'))~", R"~(ab)~"},
      {R"~('hello world'.title())~", R"~(Hello World)~"},
      {R"~("they're".title())~", R"~(They'Re)~"},
      {R"~('aBc'.swapcase())~", R"~(AbC)~"},
      {R"~(u.upper())~", R"~(GRÜSSE)~"},
      {R"~('ﬁx'.upper())~", R"~(FIX)~"},
      {R"~('ß'.title())~", R"~(Ss)~"},
      {R"~('abc'.isalpha())~", R"~(True)~"},
      {R"~('12'.isdigit())~", R"~(True)~"},
      {R"~('²'.isdigit())~", R"~(True)~"},
      {R"~('²'.isdecimal())~", R"~(False)~"},
      {R"~('a1'.isalnum())~", R"~(True)~"},
      {R"~(' \t'.isspace())~", R"~(True)~"},
      {R"~(''.isspace())~", R"~(False)~"},
      {R"~('Ab'.istitle())~", R"~(True)~"},
      {R"~('a-b-c'.partition('-'))~", R"~(('a', '-', 'b-c'))~"},
      {R"~('a-b-c'.rpartition('-'))~", R"~(('a-b', '-', 'c'))~"},
      {R"~('ab'.center(5, '*'))~", R"~(**ab*)~"},
      {R"~('7'.zfill(3))~", R"~(007)~"},
      {R"~('-7'.zfill(4))~", R"~(-007)~"},
      {R"~('ab'.ljust(4) ~ '|')~", R"~(ab  |)~"},
      {R"~('ab'.rjust(4))~", R"~(  ab)~"},
  });
}

TEST_CASE("chat template: str.format and %") {
  check_expressions({
      {R"~('{} {}'.format(1, 'b'))~", R"~(1 b)~"},
      {R"~('{1}{0}'.format('a', 'b'))~", R"~(ba)~"},
      {R"~('{a.name}{b[0]}'.format(a=rows[0], b=l))~", R"~(x3)~"},
      {R"~('{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd'))~", R"~(    a|b    |  c  |***d***)~"},
      {R"~('{:05.1f}|{:+d}|{:x}|{:,}'.format(2.25, 3, 255, 1234567))~", R"~(002.2|+3|ff|1,234,567)~"},
      {R"~('{!r:>5}'.format('a'))~", R"~(  'a')~"},
      {R"~('{{}}'.format())~", R"~({})~"},
      {R"~('{:{}}'.format('a', 4) ~ '|')~", R"~(a   |)~"},
      {R"~('%s %r' % ('a', 'a'))~", R"~(a 'a')~"},
      {R"~('%5d|%-5d|%05d|%+d' % (1, 2, 3, 4))~", R"~(    1|2    |00003|+4)~"},
      {R"~('%.2f %e %g' % (1.005, 12345.678, 0.0001))~", R"~(1.00 1.234568e+04 0.0001)~"},
      {R"~('%x %X %o %#x' % (255, 255, 8, 255))~", R"~(ff FF 10 0xff)~"},
      {R"~('%c%c' % ('a', 98))~", R"~(ab)~"},
      {R"~('%%' % ())~", R"~(%)~"},
      {R"~('%s' % [1])~", R"~([1])~"},
      {R"~('%(k)s' % {'k': 'v'})~", R"~(v)~"},
      {R"~('{:.3}'.format('abcdef'))~", R"~(abc)~"},
      {R"~('{:%}'.format(0.25))~", R"~(25.000000%)~"},
      {R"~('{:g}'.format(1e10))~", R"~(1e+10)~"},
      {R"~('{:e}'.format(0.0))~", R"~(0.000000e+00)~"},
  });
}

TEST_CASE("chat template: methods of dicts and lists") {
  check_expressions({
      {R"~(d.get('a'))~", R"~([1, 2])~"},
      {R"~(d.get('z'))~", R"~(None)~"},
      {R"~(d.get('z', 5))~", R"~(5)~"},
      {R"~(d.keys() | list)~", R"~(['b', 'a', 'C'])~"},
      {R"~(d.values() | list)~", R"~([1, [1, 2], None])~"},
      {R"~(d.items() | list)~", R"~([('b', 1), ('a', [1, 2]), ('C', None)])~"},
      {R"~(l.index(1))~", R"~(1)~"},
      {R"~(l.count(3))~", R"~(1)~"},
      {R"~((1, 1).count(1))~", R"~(2)~"},
      {R"~(d.copy() == d)~", R"~(True)~"},
      {R"~('b' in d.keys())~", R"~(True)~"},
      {R"~(d.items() | length)~", R"~(3)~"},
  });
}
