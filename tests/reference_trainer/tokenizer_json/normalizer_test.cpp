// Texts are those of the `tokenizers` library 0.23.3.
#include "tokenizer_json/normalizer.hpp"

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "text/white_space.hpp"
#include "unicode/unicode_text.hpp"

using namespace coho::trainer;
using nlohmann::json;

namespace {

std::string changed(const json& part, std::string_view text) {
  return text_normalizer(json_part(part, "tokenizer.json", "normalizer"))(text);
}

json replace(const char* kind, const char* pattern, const char* content) {
  return {{"type", "Replace"}, {"pattern", {{kind, pattern}}}, {"content", content}};
}

}  // namespace

TEST_CASE("normalizer: the forms of Unicode") {
  CHECK(changed({{"type", "NFC"}}, "e\u0301 \ufb01") == "\u00e9 \ufb01");
  CHECK(changed({{"type", "NFD"}}, "\u00e9") == "e\u0301");
  CHECK(changed({{"type", "NFKC"}}, "\ufb01\u2460 e\u0301") == "fi1 \u00e9");
  CHECK(changed({{"type", "NFKD"}}, "\uff21\u00e9") == "Ae\u0301");
  CHECK(changed({{"type", "NFC"}}, std::string("a\0b\u0301", 5)) == std::string("a\0b\u0301", 5));
  CHECK(normalize_unicode("\u1112\u1161\u11ab", unicode_form::nfc) == "\ud55c");
}

TEST_CASE("normalizer: letters, ends, beginnings, replacements, sequences") {
  CHECK(changed({{"type", "Lowercase"}}, "\u0130\u0391\u03a3 \u1e9e") == "i\u0307\u03b1\u03c3 \u00df");
  CHECK(changed({{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}}, " \u3000a b\u2028 ") == "a b");
  CHECK(changed({{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}}, " a ") == " a");
  CHECK(changed({{"type", "Strip"}}, " \n ") == "");
  CHECK(changed({{"type", "Prepend"}, {"prepend", "_"}}, "a") == "_a");
  CHECK(changed({{"type", "Prepend"}, {"prepend", "_"}}, "") == "");
  CHECK(changed(replace("String", "aa", "b"), "aaaaa") == "bba");
  CHECK(changed(replace("Regex", "\\s+", "_"), "a \n b") == "a_b");
  CHECK(changed({{"type", "ByteLevel"}}, " \u00e9") == "\u0120\u00c3\u00a9");
  CHECK(changed({{"type", "Sequence"},
                 {"normalizers", {replace("String", " ", "_"), {{"type", "Prepend"}, {"prepend", "_"}}}}},
                "a b") == "_a_b");
}

TEST_CASE("unicode_text: kinds of characters") {
  CHECK((is_white_space(U'\u0085') && is_white_space(U'\u3000') && !is_white_space(U'\u200b')));
  CHECK((is_numeric(U'7') && is_numeric(U'\u00bd') && is_numeric(U'\u2167') && !is_numeric(U'a')));
  CHECK((is_punctuation(U'$') && is_punctuation(U'\u00bf') && !is_punctuation(U'\u20ac') && !is_punctuation(U' ')));
  CHECK((is_word_character(U'_') && is_word_character(U'\u0301') && is_word_character(U'\u24b6') &&
         is_word_character(U'\u200d') && !is_word_character(U'\u00bd') && !is_word_character(U'-')));
}
