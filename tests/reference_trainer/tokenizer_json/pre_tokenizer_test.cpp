// Words are those of the `tokenizers` library 0.23.3.
#include "tokenizer_json/pre_tokenizer.hpp"

#include <nlohmann/json.hpp>

#include "support/catch.hpp"

using namespace coho::trainer;
using nlohmann::json;

namespace {

std::string words(const json& part, std::string_view text, bool at_beginning = true) {
  const word_splitter splitter(json_part(part, "tokenizer.json", "pre_tokenizer"));
  word_list list;
  list.words = {text};
  list.at_beginning = at_beginning;
  splitter(list);
  std::string out;
  for (const auto word : list.words) out.append(out.empty() ? "" : "|").append(word);
  return out;
}

json split(const char* kind, const char* pattern, const char* behavior, bool invert = false) {
  return {{"type", "Split"}, {"pattern", {{kind, pattern}}}, {"behavior", behavior}, {"invert", invert}};
}

json metaspace(const char* scheme, bool cut) {
  return {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", scheme}, {"split", cut}};
}

}  // namespace

TEST_CASE("pre_tokenizer: Split, whatever becomes of the matches") {
  struct row {
    const char *behavior, *text, *run, *inverted;
  };
  for (const auto& [behavior, text, run, inverted] :
       {row{"Isolated", "the|-|-|final|-|countdown|-", "--|a|--|b", "a|b|, |c|!|d"},
        row{"Removed", "the|final|countdown", "a|b", "a|b|c|d"},
        row{"MergedWithPrevious", "the-|-|final-|countdown-", "--|a--|b", "a|b, |c!|d"},
        row{"MergedWithNext", "the|-|-final|-countdown|-", "--a|--b", "a|b|, c|!d"},
        row{"Contiguous", "the|--|final|-|countdown|-", "--|a|--|b", "ab|, |c|!|d"}}) {
    INFO(behavior);
    CHECK(words(split("String", "-", behavior), "the--final-countdown-") == text);
    CHECK(words(split("Regex", "-+", behavior), "--a--b") == run);
    CHECK(words(split("Regex", "\\w", behavior, true), "ab, c!d") == inverted);
  }
  CHECK(words(split("Regex", "x*", "Isolated"), "axxb") == "a|xx|b");
}

TEST_CASE("pre_tokenizer: digits, white space, punctuation") {
  CHECK(words({{"type", "Digits"}}, "a12b3 \u0663\u00b2") == "a|12|b|3| |\u0663\u00b2");
  CHECK(words({{"type", "Digits"}, {"individual_digits", true}}, "a12b3 \u0663\u00b2") == "a|1|2|b|3| |\u0663|\u00b2");
  CHECK(words({{"type", "Whitespace"}}, "H\u00e9_y! ...you 1\u00b2 x") == "H\u00e9_y|!|...|you|1|\u00b2|x");
  CHECK(words({{"type", "WhitespaceSplit"}}, "a\u00a0b\u200bc  d ") == "a|b\u200bc|d");
  CHECK(words({{"type", "Punctuation"}}, "a,b$\u00bfc_") == "a|,|b|$|\u00bf|c|_");
  CHECK(words({{"type", "Punctuation"}, {"behavior", "Removed"}}, "a,b$\u00bfc_") == "a|b|c");
}

TEST_CASE("pre_tokenizer: Metaspace") {
  CHECK(words(metaspace("always", true), " a  b c") == "\u2581a|\u2581|\u2581b|\u2581c");
  CHECK(words(metaspace("always", false), " a  b c") == "\u2581a\u2581\u2581b\u2581c");
  CHECK(words(metaspace("first", true), "a b") == "\u2581a|\u2581b");
  CHECK(words(metaspace("never", true), "a b") == "a|\u2581b");
  CHECK(words(metaspace("first", false), "a b", false) == "a\u2581b");  // after an added token
  CHECK(words(metaspace("always", false), "a b", false) == "\u2581a\u2581b");
  CHECK(words({{"type", "Metaspace"}, {"replacement", "_"}, {"add_prefix_space", false}}, "a b") == "a|_b");
  const json after_removed{{"type", "Sequence"},
                           {"pretokenizers", {{{"type", "WhitespaceSplit"}}, metaspace("first", false)}}};
  CHECK(words(after_removed, "  a b") == "a|b");
}

TEST_CASE("pre_tokenizer: ByteLevel") {
  CHECK(words({{"type", "ByteLevel"}, {"add_prefix_space", true}}, "it's a  test\n \u00e9") ==
        "\u0120it|'s|\u0120a|\u0120|\u0120test|\u010a|\u0120\u00c3\u00a9");
  CHECK(words({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}, "it's \u00e9") ==
        "it's\u0120\u00c3\u00a9");
  CHECK(words({{"type", "ByteLevel"}}, " a") == "\u0120a");
}
