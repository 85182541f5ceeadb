#include "text/utf8.hpp"

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("utf8: characters at the borders of each length") {
  CHECK(utf8_length("a") == 1);
  CHECK(utf8_length(std::string_view("\0", 1)) == 1);
  CHECK(utf8_length("\xC2\x80") == 2);
  CHECK(utf8_length("\xDF\xBF") == 2);
  CHECK(utf8_length("\xE0\xA0\x80") == 3);
  CHECK(utf8_length("\xEF\xBF\xBF") == 3);
  CHECK(utf8_length("\xF0\x90\x80\x80") == 4);
  CHECK(utf8_length("\xF4\x8F\xBF\xBF") == 4);
  CHECK(utf8_length("") == 0);
}

TEST_CASE("utf8: what is not a character") {
  for (const char* text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
        "\xE2\x82", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    CAPTURE(text);
    CHECK(utf8_length(text) == 0);
    CHECK_FALSE(is_utf8(std::string("ok") + text));
  }
  CHECK(is_utf8("h\xC3\xA9llo \xE2\x82\xAC \xF0\x9F\x98\x80"));
  CHECK(is_utf8(""));
}

TEST_CASE("utf8: repair replaces each stray byte and keeps the rest") {
  CHECK(repair_utf8("a\xFF\x62") ==
        "a\xEF\xBF\xBD"
        "b");
  CHECK(repair_utf8("\xE2\x82") == "\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(repair_utf8("\xE2\x82\xAC") == "\xE2\x82\xAC");
  CHECK(repair_utf8("") == "");
}

TEST_CASE("utf8: code points are read and written") {
  for (const char32_t code :
       {U'a', U'\u007F', U'\u0080', U'\u07FF', U'\u0800', U'\uFFFD', U'\U00010000', U'\U0010FFFF'}) {
    std::string text;
    append_utf8(text, code);
    CHECK(utf8_length(text) == text.size());
    CHECK(utf8_code_point(text) == code);
  }
  std::string word;
  for (const char32_t code : U"aé€😀") {
    if (code != 0) append_utf8(word, code);
  }
  CHECK(word == "aé€😀");
}

TEST_CASE("utf8: escapes of half a character are mended, whole ones and escaped backslashes stay") {
  CHECK(repair_surrogate_escapes(R"("a\ud83db")") == R"("a\uFFFDb")");
  CHECK(repair_surrogate_escapes(R"("\uDE00\ud83d\ud83d\uDE00\uD83D")") == R"("\uFFFD\uFFFD\ud83d\uDE00\uFFFD")");
  for (const std::string text :
       {R"("\ud83d\ude00 \u00e9 \n")", R"("\\ud83d")", R"("\u12")", R"("\uzzzz")", R"("\)", ""})
    CHECK(repair_surrogate_escapes(text) == text);
  CHECK(repair_surrogate_escapes(R"("\\\ud83d")") == R"("\\\uFFFD")");
}

TEST_CASE("utf8: characters, not bytes") {
  CHECK(count_utf8_characters("") == 0);
  CHECK(count_utf8_characters("a\n ") == 3);
  CHECK(count_utf8_characters("é你🦙") == 3);
}
