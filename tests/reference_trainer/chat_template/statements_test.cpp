// Texts are those of Jinja 3.1.6.
#include "reference_trainer/chat_template/rendering.hpp"
#include "support/catch.hpp"

using namespace coho::test;

TEST_CASE("chat template: white space around tags") {
  check_templates({
      {R"~(a
  {% if true %}
  b
  {% endif %}
 c)~",
       R"~(a
  b
 c)~"},
      {R"~(a {%- if true -%}  b  {%- endif -%} c)~", R"~(abc)~"},
      {R"~(a
  {%+ if true +%}
 b{% endif %})~",
       R"~(a
  
 b)~"},
      {R"~(x
  {# c #}
y)~",
       R"~(x
y)~"},
      {R"~(x {#- c -#} y)~", R"~(xy)~"},
      {R"~(  {{ 1 }}
)~",
       R"~(  1)~"},
      {R"~(a
{{- 1 -}}
b)~",
       R"~(a1b)~"},
      {R"~(a

)~",
       R"~(a
)~"},
      {R"~({% raw %}{{ x }} {% if %}{% endraw %}!)~", R"~({{ x }} {% if %}!)~"},
      {R"~(a
  {%- raw -%}  {{ x }}  {%- endraw -%}
 b)~",
       R"~(a{{ x }}b)~"},
      {R"~(
{% if true %}

x{% endif %}

)~",
       R"~(

x)~"},
      {R"~({{ '}}' }}{{ {'a': {'b': 1}}['a'] }})~", R"~(}}{'b': 1})~"},
      {R"~(a
b
c
)~",
       R"~(a
b
c)~"},
      {R"~({% print 1, 2 %})~", R"~(12)~"},
      {R"~({{ '%}' }}{# {{ #})~", R"~(%})~"},
  });
}

TEST_CASE("chat template: if and for") {
  check_templates({
      {R"~({% if 0 %}a{% elif n %}b{% else %}c{% endif %})~", R"~(b)~"},
      {R"~({% for i in l %}{{ i }}{% endfor %})~", R"~(312)~"},
      {R"~({% for i in [] %}a{% else %}b{% endfor %})~", R"~(b)~"},
      {R"~({% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %})~", R"~(b=1;a=[1, 2];C=None;)~"},
      {R"~({% for i in range(6) if i % 2 %}{{ loop.index }}:{{ i }}/{{ loop.length }} {% endfor %})~",
       R"~(1:1/3 2:3/3 3:5/3 )~"},
      {R"~({% for i in l %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }})~"
       R"~({{ loop.first }}{{ loop.last }} {% endfor %})~",
       R"~(032TrueFalse 121FalseFalse 210FalseTrue )~"},
      {R"~({% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %})~", R"~(<3>1 3<1>2 1<2> )~"},
      {R"~({% for i in range(4) %}{{ loop.cycle('a', 'b') }}{% endfor %})~", R"~(abab)~"},
      {R"~({% for i in [1, 1, 2] %}{{ loop.changed(i) }} {% endfor %})~", R"~(True False True )~"},
      {R"~({% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i > 3 %})~"
       R"~({% break %}{% endif %}{{ i }}{% endfor %})~",
       R"~(023)~"},
      {R"~({% for i in [1] %}{% continue %}{% else %}none ran whole{% endfor %})~", R"~(none ran whole)~"},
      {R"~({% for i in [1, 2] %}{% for j in [3] %}{{ i }}{{ j }}{{ loop.index }} )~"
       R"~({% endfor %}{{ loop.index }} {% endfor %})~",
       R"~(131 1 231 2 )~"},
      {R"~({% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %})~", R"~(123)~"},
      {R"~({% for i in missing %}x{% endfor %})~", R"~()~"},
      {R"~({% for c in 'né' %}[{{ c }}]{% endfor %})~", R"~([n][é])~"},
      {R"~({% for a, b in [[1, 2]] if a %}{{ loop.nextitem }}{{ (loop.previtem, a) }}{% endfor %})~",
       R"~((Undefined, 1))~"},
  });
}

TEST_CASE("chat template: set, namespace and scopes") {
  check_templates({
      {R"~({% set a = 1 %}{% for i in l %}{% set a = i %}{% endfor %}{{ a }})~", R"~(1)~"},
      {R"~({% set ns = namespace(a=1) %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }})~", R"~(7)~"},
      {R"~({% set a, b = 1, [2] %}{{ a }}{{ b }})~", R"~(1[2])~"},
      {R"~({% set a %}x{{ n }}{% endset %}[{{ a }}])~", R"~([x7])~"},
      {R"~({% set a | upper | trim %} xy {% endset %}[{{ a }}])~", R"~([XY])~"},
      {R"~({% if true %}{% set a = 1 %}{% endif %}{{ a }})~", R"~(1)~"},
      {R"~({% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a }})~", R"~(17)~"},
      {R"~({% filter upper %}a{{ s }}{% endfilter %})~", R"~(AHELLO, WORLD)~"},
      {R"~({% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns.c }}{{ ns }})~",
       R"~(12<Namespace {'a': 1, 'b': 2}>)~"},
      {R"~({% set n = n + 1 %}{{ n }})~", R"~(8)~"},
      {R"~({% for i in [1] %}{% set n = n + 1 %}{{ n }}{% endfor %}{{ n }})~", R"~(87)~"},
  });
}

TEST_CASE("chat template: macros") {
  check_templates({
      {R"~({% macro f(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }} )~"
       R"~({{ f(1, c=3) }} {{ f(b=1, a=0) }})~",
       R"~(121 123 010)~"},
      {R"~({% macro f(a) %}[{{ a }}]{% endmacro %}{{ f() }})~", R"~([])~"},
      {R"~({% macro f(i) %}{{ i }}{% if i > 0 %}{{ f(i - 1) }}{% endif %}{% endmacro %}{{ f(3) }})~", R"~(3210)~"},
      {R"~({% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, x=3) }})~", R"~((1, 2){'x': 3})~"},
      {R"~({% set a = 1 %}{% macro f() %}{{ a }}{% endmacro %}{% set a = 2 %}{{ f() }})~", R"~(2)~"},
      {R"~({% macro f() %}{% set n = 0 %}{{ n }}{% endmacro %}{{ f() }}{{ n }})~", R"~(07)~"},
      {R"~({% macro f(a, b) %}{{ a }}-{{ b }}{% endmacro %}{{ f(*[1, 2]) }}{{ f(**{'b': 1, 'a': 2}) }})~",
       R"~(1-22-1)~"},
      {R"~({% macro f() %}  x  {% endmacro %}[{{ f() | trim }}]{{ f is callable }}{{ f.name }})~", R"~([x]Truef)~"},
  });
}

TEST_CASE("chat template: a name that its scope assigns later is undefined within inner scopes") {
  check_templates({
      {R"~({% for i in [1] %}[{{ s }}]{% endfor %}{% set s = 1 %}{{ s }})~", R"~([]1)~"},
      {R"~({% macro f() %}[{{ s }}]{% endmacro %}{{ f() }}{% set s = 1 %}{{ f() }})~", R"~([][1])~"},
      {R"~({% macro f() %}{% macro f() %}[{{ s }}]{% endmacro %}{{ f() }}{% endmacro %}{{ f() }}{% set s = 1 %})~",
       R"~([])~"},
      {R"~({% macro f() %}{% macro f() %}[{{ s }}]{% endmacro %}{{ f() }}{% set s = 1 %}{% endmacro %}{{ f() }})~",
       R"~([])~"},
      {R"~({% with a = 1 %}[{{ s }}]{% endwith %}{% set s = 1 %})~", R"~([])~"},
      {R"~({% set q %}[{{ s }}]{% endset %}{{ q }}{% set s = 1 %})~", R"~([])~"},
      {R"~({% filter upper %}[{{ s }}]{% endfilter %}{% set s = 1 %})~", R"~([])~"},
      {R"~({% for i in l %}{% for j in [1] %}[{{ n }}]{% endfor %}{% set n = 1 %}{% endfor %})~", R"~([][][])~"},
      // Not where the scope reads it first, a scope around it mentions it, or only an `if` assigns it.
      {R"~({{ n }}{% macro f() %}{{ n }}{% endmacro %}{{ f() }}{% set n = 1 %}{{ f() }})~", R"~(771)~"},
      {R"~({% set n = 0 %}{% for i in l %}{% for j in [1] %}{{ n }}{% endfor %}{% set n = 1 %}{% endfor %})~",
       R"~(000)~"},
      {R"~({% for i in [1] %}{{ n }}{% endfor %}{% if false %}{% set n = 1 %}{% endif %})~", R"~(7)~"},
      {R"~({% for n in [1] %}{{ n }}{% endfor %}{{ n }})~", R"~(17)~"},
  });
}
