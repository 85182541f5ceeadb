#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "reference_trainer/chat_template/rendering.hpp"
#include "support/catch.hpp"
#include "support/process_memory.hpp"

using namespace coho::test;
using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__)
constexpr bool optimised = true;
#else
constexpr bool optimised = false;
#endif

std::string nested(const std::string& open, const std::string& inner, const std::string& close, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += open;
  out += inner;
  for (int i = 0; i < times; ++i) out += close;
  return out;
}

// Templates with endless loops, huge texts and lists, and deep recursion, and what their refusal names.
std::vector<std::pair<std::string, const char*>> hostile_templates() {
  const std::string many = "{% for i in range(100000) %}";
  return {
      {many + many + "{% endfor %}{% endfor %}", "steps"},
      {"{{ range(100001) }}", "range_items"},
      {"{{ range(0, 9223372036854775807) | length }}", "range_items"},
      {"{{ 'a' * 1000000000 }}", "string_bytes"},
      {"{{ ('a' * 1000000) * 1000000000 }}", "string_bytes"},
      {"{{ [1] * 1000000000 }}", "memory_bytes"},
      {"{{ [1] * 9223372036854775807 }}", "memory_bytes"},
      {"{% set ns = namespace(s='a') %}" + many + "{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "string_bytes"},
      {"{% set ns = namespace(l=[0]) %}" + many + "{% set ns.l = ns.l + ns.l %}{% endfor %}", "memory_bytes"},
      {"{% set ns = namespace(l=[]) %}" + many + "{% set ns.l = ns.l + ['a' * 1000000 ~ i] %}{% endfor %}",
       "memory_bytes"},
      {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "depth"},
      {"{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}", "steps"},
      {many + "{{ 'abcdefghij' * 100 }}{% endfor %}", "output_bytes"},
      {"{{ ('a' * 2000000).replace('a', 'bbbbb') }}", "string_bytes"},
      {"{{ ('a' * 1000000).replace('', 'b' * 100) }}", "string_bytes"},
      {"{{ ('a\n' * 1000) | indent(10000) }}", "string_bytes"},
      {"{{ (('a' * 1000000 ~ ',') * 5).split(',') | join('b' * 7000000) }}", "string_bytes"},
      {"{{ '%1000000000d' % 1 }}", "width too big"},
      {"{{ '%9999999d' % 1 }}", "string_bytes"},
      {"{{ '{:999999999}'.format(1) }}", "Too many decimal digits"},
      {"{{ 'a'.center(1000000000) }}", "string_bytes"},
      {"{{ 'a'.zfill(1000000000) }}", "string_bytes"},
      {"{{ [[[[1]]]] | tojson(indent=1000000000) }}", "string_bytes"},
      {"{{ [1] | batch(1000000000, 0) | list }}", "memory_bytes"},
      {"{% set ns = namespace(l=1) %}{% for i in range(1000) %}{% set ns.l = [ns.l] %}{% endfor %}", "deep"},
      {"{% set ns = namespace(l=[1]) %}{% for i in range(1000) %}{% set ns.l = ns.l | map('string') %}{% endfor %}",
       "deep"},
      {"{% set ns = namespace(l=1) %}{% for i in range(90) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
       "string_bytes"},
      {"{% set ns = namespace(l=1) %}{% for i in range(90) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson "
       "}}",
       "string_bytes"},
      {"{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}", "depth"},
      {"{% set a = 'a' * 4000000 %}" + many + "{{ ('a' * 2000000 ~ 'b') in a }}{% endfor %}", "steps"},
      {"{% set a = 'a' * 4000000 %}" + many + "{% set b = a.upper() %}{% endfor %}", "steps"},
  };
}

// Those that are refused while they are read: they nest too deep.
std::vector<std::string> nested_templates() {
  return {"{{ " + nested("(", "1", ")", 100000) + " }}",       "{{ " + nested("[", "1", "]", 100000) + " }}",
          "{{ " + nested("not ", "1", "", 100000) + " }}",     "{{ " + nested("-", "1", "", 100000) + " }}",
          "{{ 1" + nested(" + 1", "", "", 100000) + " }}",     "{{ 1" + nested(" | abs", "", "", 100000) + " }}",
          "{{ a" + nested(".a", "", "", 100000) + " }}",       nested("{% if 1 %}", "x", "{% endif %}", 10000),
          "{% set " + nested("(", "a", ")", 10000) + " = 1 %}"};
}

}  // namespace

TEST_CASE("chat template sandbox: hostile templates end at a bound that is named") {
  for (const auto& [given, bound] : hostile_templates()) {
    INFO(given);
    CHECK_THAT(failure_of(given), ContainsSubstring(bound) && ContainsSubstring(", column "));
  }
}

TEST_CASE("chat template sandbox: a hostile template costs at most a second and 64 MB") {
  if (!optimised) {
    WARN("skipped: time and memory are those of optimised builds");
    return;
  }
  auto cases = nested_templates();
  for (const auto& [given, bound] : hostile_templates()) cases.push_back(given);
  for (const auto& given : cases) {
    INFO(given.substr(0, 200));
    const memory_peak memory;
    const auto begin = std::clock();  // of the processor, which other programs do not slow
    const auto problem = failure_of(given);
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    CHECK_THAT(problem, ContainsSubstring(", column "));
    CHECK(seconds <= 1);
    if (memory.known()) CHECK(memory.bytes() <= 64e6);
  }
}

TEST_CASE("chat template sandbox: deep nesting is refused while reading") {
  for (const auto& given : nested_templates())
    CHECK_THAT(failure_of(given), ContainsSubstring("expressions within each other, more than 200 deep"));
  CHECK(rendered("{{ 1" + nested(" + 1", "", "", 150) + " }}").text == "151");
  CHECK(rendered("{{ ''" + nested(" ~ 'a'", "", "", 10000) + " }}").text == std::string(10000, 'a'));
  CHECK_THAT(failure_of(std::string(2 << 20, 'a')), ContainsSubstring("is longer than 1048576 bytes"));
}

TEST_CASE("chat template sandbox: each bound is an option") {
  const auto with = [](auto change) {
    template_limits out;
    change(out);
    return out;
  };
  const auto none = nlohmann::ordered_json::object();
  CHECK_THAT(failure_of("abcdef", none, with([](auto& l) { l.output_bytes = 5; })),
             ContainsSubstring("more than 5 output_bytes: the limit of chat templates; simplify the template"));
  CHECK(rendered("abcde", none, with([](auto& l) { l.output_bytes = 5; })).text == "abcde");
  CHECK_THAT(failure_of("{{ 'a' ~ 'bcdef' }}", none, with([](auto& l) { l.string_bytes = 5; })),
             ContainsSubstring("string_bytes"));
  CHECK_THAT(failure_of("{{ [1, 2, 3] }}", none, with([](auto& l) { l.memory_bytes = 50; })),
             ContainsSubstring("memory_bytes"));
  CHECK_THAT(failure_of("{{ 1 + 1 + 1 }}", none, with([](auto& l) { l.steps = 5; })),
             ContainsSubstring("more than 5 steps"));
  CHECK_THAT(failure_of("{{ [[[1]]] }}", none, with([](auto& l) { l.depth = 4; })),
             ContainsSubstring("more than 4 depth"));
  CHECK_THAT(failure_of("{{ range(4) }}", none, with([](auto& l) { l.range_items = 3; })),
             ContainsSubstring("range_items"));
}

TEST_CASE("chat template sandbox: what holds itself is released") {
  // The address sanitizer reports what is not.
  CHECK(rendered("{% set ns = namespace() %}{% set ns.a = [ns] %}{% set ns.b = namespace(c=ns) %}x").text == "x");
  CHECK(rendered("{% set ns = namespace() %}{% for i in [1] if ns is defined %}{% set ns.l = loop %}{% endfor %}"
                 "{% set l = ns.l %}{{ l.index }}")
            .text == "1");
  CHECK(rendered("{% for i in [1] %}{{ loop.changed(loop) }}{% endfor %}").text == "True");
  CHECK(rendered("{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f is callable }}{% endmacro %}{{ f() }}")
            .text == "True");
  CHECK(
      rendered(
          "{% set ns = namespace(p=none) %}{% for i in range(50000) %}{% set ns.p = namespace(p=ns.p) %}{% endfor %}x")
          .text == "x");
  CHECK_THAT(failure_of("{% set ns = namespace() %}{% for i in [1] %}{% macro f() %}x{% endmacro %}{% set ns.f = f "
                        "%}{% endfor %}{{ ns.f() }}"),
             ContainsSubstring("the macro 'f' was called after the block that defines it"));
}
