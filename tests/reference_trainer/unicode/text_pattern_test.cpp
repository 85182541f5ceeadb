#include "unicode/text_pattern.hpp"

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "unicode/ruby_pattern.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

/// The parts of a text, matches in brackets.
std::string shown(const text_pattern& pattern, std::string_view text) {
  std::vector<pattern_part> parts;
  pattern.split(text, parts);
  std::string out;
  for (const auto& part : parts) {
    const auto words = text.substr(part.begin, part.end - part.begin);
    out.append(part.match ? "[" : "").append(words).append(part.match ? "]" : "|");
  }
  return out;
}

std::string found(std::string_view expression, std::string_view text) {
  return shown(text_pattern::regex(expression), text);
}

}  // namespace

TEST_CASE("text_pattern: a literal is found from left to right") {
  CHECK(shown(text_pattern::literal("aa"), "aaaab") == "[aa][aa]b|");
  CHECK(shown(text_pattern::literal("."), "a.b") == "a|[.]b|");
  CHECK(shown(text_pattern::literal(""), "ab") == "ab|");
  CHECK(shown(text_pattern::literal("a"), "") == "");
  CHECK(text_pattern::literal("aa").replace_all("aaaaa", "b") == "bba");
}

TEST_CASE("text_pattern: matches of an expression, empty ones too") {
  CHECK(found("\\d+", "a12b") == "a|[12]b|");
  CHECK(found("x*", "axxb") == "[]a|[xx]b|[]");
  CHECK(text_pattern::regex("x*").replace_all("axb", "-") == "-a-b-");
  CHECK(text_pattern::regex("\\s+").replace_all("a \n b", "_") == "a_b");
  CHECK(found("^b$", "a\nb\nc") == "a\n|[b]\nc|");  // of lines
  CHECK(found("a.c", "a\nc abc") == "a\nc |[abc]");
  CHECK(found("\u00e9{2}", "\u00e9\u00e9\u00e9") == "[\u00e9\u00e9]\u00e9|");
}

TEST_CASE("text_pattern: classes of characters are Unicode's") {
  CHECK(found("\\s", "a\u0085b\u00a0c\u3000d\u180ee") == "a|[\u0085]b|[\u00a0]c|[\u3000]d\u180ee|");
  CHECK(found("[^\\S\\n]", " \nx\t") == "[ ]\nx|[\t]");
  CHECK(found("\\S+", "a\u2028b") == "[a]\u2028|[b]");
  CHECK(found("\\w+", "e\u0301_\u0663\u2167 \u00bd") == "[e\u0301_\u0663\u2167] \u00bd|");
  CHECK(found("\\W", "a-b") == "a|[-]b|");
  CHECK(found("\\h+", "xfF0g") == "x|[fF0]g|");
  CHECK(found("[[:punct:][:digit:]]+", "a1!$b") == "a|[1!$]b|");
  CHECK(found("(?i:'s)", "'S'\u017f") == "['S]['\u017f]");
  CHECK(found("\\p{Lu}\\p{Ll}", "\u00c4a aA") == "[\u00c4a] aA|");
  CHECK(found("[\\u4e00-\\u9fa5]+", "a\u4e2d\u6587b") == "a|[\u4e2d\u6587]b|");
  CHECK(found("[]a]+", "]a[") == "[]a][|");
}

TEST_CASE("ruby_pattern: repetitions of repetitions") {
  CHECK(ruby_to_pcre2("a{1,3}+") == "(?:a{1,3})+");
  CHECK(ruby_to_pcre2("(ab){2}?c") == "(?:(ab){2})?c");
  CHECK(ruby_to_pcre2("[ab]{,2}") == "[ab]{0,2}");
  CHECK(ruby_to_pcre2("a{2,}?b++") == "a{2,}?b++");
  CHECK(ruby_to_pcre2("a{b}") == "a\\{b}");
  CHECK(found("\\d{1,3}+", "1234567x") == "[1234567]x|");
}

TEST_CASE("ruby_pattern: what has no equivalent is refused by name") {
  const auto refused = [](std::string_view expression, const std::string& says) {
    CHECK_THROWS_AS(text_pattern::regex(expression), coho::argument_error);
    CHECK_THROWS_WITH(text_pattern::regex(expression), ContainsSubstring(says));
  };
  refused("[a-z&&[^b]]", "an intersection of classes");
  refused("[a[bc]]", "a class within a class");
  refused("(?m:.)", "a group that begins with \"(?m\"");
  refused("(?~a)", "a group that begins with \"(?~\"");
  refused("(?x: a)", "the option x");
  refused("a(?i)b|c", "(?i) after the beginning");
  refused("(?#a)", "a comment");
  refused("\\bword", "\\b");
  refused("(a)\\1", "\\1");
  refused("\\xff", "a byte beyond ASCII");
  refused("\\pL", "\\p without a name");
  refused("a\\", "a backslash at its end");
  refused("[a", "a class without ]");
  refused("a)", "an unmatched )");
  refused("\\u12", "\\u without four digits");
  refused("[[:what:]]", "[:what:]");
  refused("[\\W]", "\\W within a class");
  refused("\\p{Nothing}", "is not a regular expression");
  refused(std::string(200, '(') + std::string(200, ')'), "is not a regular expression");
}

TEST_CASE("text_pattern: long texts need no deep stack") {
  const auto words = text_pattern::regex(R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}]*[\p{Ll}\p{Lm}]+|\s+(?!\S)|\s+|(?:.\n?)+)");
  CHECK(shown(words, std::string(300000, 'a')).size() == 300002);
  CHECK(shown(words, std::string(300000, ' ')).size() == 300002);
  CHECK(shown(words, std::string(300000, '1')).size() == 300002);
}
