#include "text/clean_text.hpp"

#include <string>

#include "support/catch.hpp"
#include "text/white_space.hpp"

using namespace coho::trainer;

namespace {

std::string cleaned(std::string_view text) { return clean_text(text).text; }

}  // namespace

TEST_CASE("clean text: line ends, spaces at the ends of lines, and empty lines") {
  CHECK(cleaned("a\r\nb\rc\nd\u2028e\u0085f\vg") == "a\nb\nc\nd\ne\nf\ng");
  CHECK(cleaned("a  \t\nb \u3000\n") == "a\nb");
  CHECK(cleaned("\n\n  a\n   \n\t\n\n\nb") == "a\n\nb");
  CHECK(cleaned("def f():\n    return  1\n\tpass") == "def f():\n    return  1\n\tpass");
  CHECK(cleaned(" \t\r\n\u00A0\u3000") == "");
}

TEST_CASE("clean text: no-break and typographic spaces become a space, the ideographic one stays") {
  CHECK(cleaned("10\u00A0000\u202F000\u2009x") == "10 000 000 x");
  CHECK(cleaned("\u3000我们\u3000他们\u3000") == "我们\u3000他们");
}

TEST_CASE("clean text: control and invisible characters are left out, joiners stay") {
  CHECK(cleaned(std::string("a\0b\x07\x1B[0m\x7F", 9)) == "ab[0m");
  CHECK(cleaned("\uFEFFco\u00ADop\u200B\u2060er\u202Eate\u2066\uFFFE") == "cooperate");
  CHECK(cleaned("👩\u200D💻 می\u200Cخواهم") == "👩\u200D💻 می\u200Cخواهم");
}

TEST_CASE("clean text: what cannot be read is left out and counted") {
  const auto mended = clean_text("na\uFFFDme\xFF \xC3");
  CHECK(mended.text == "name");
  CHECK(mended.unreadable == 3);
  CHECK(mended.characters == 8);
  // A surrogate in UTF-8's form is three bytes that are no character.
  CHECK(clean_text("\xED\xA0\xBDx").unreadable == 3);
  CHECK(clean_text("plain").unreadable == 0);
}

TEST_CASE("clean text: cleaning twice changes nothing more") {
  for (const std::string text :
       {"a\r\n\r\n\r\n b\u00A0 \n", "\uFEFF\u3000x\u200B\n\n\n\ny\xFF", "  code:\n    x = 1\n"}) {
    const auto once = cleaned(text);
    CHECK(cleaned(once) == once);
  }
}

TEST_CASE("trimming takes white space of any script and no part of a character") {
  CHECK(trim_white_space("\u00A0 \u2003a b\u3000\n") == "a b");
  CHECK(trim_white_space(" \u3000 ") == "");
  CHECK(trim_white_space("à") == "à");  // its last byte is that of U+00A0
  CHECK(trim_white_space(" \x80\xA0 ") == "\x80\xA0");
  CHECK(trim_white_space("") == "");
}

TEST_CASE("count_words: white space of ASCII separates, no other") {
  CHECK(count_words("") == 0);
  CHECK(count_words(" \t\r\n") == 0);
  CHECK(count_words("one,two\n three\t four ") == 3);
  CHECK(count_words("a\u00A0b") == 1);
}

TEST_CASE("trim_characters: only the given ones, only at the ends") {
  CHECK(trim_characters(" \t a b\r\n") == "a b");
  CHECK(trim_characters("\n a \n", " ") == "\n a \n");
  CHECK(trim_characters("xxaxbxx", "x") == "axb");
  CHECK(trim_characters(" \n ").empty());
  CHECK(trim_characters("").empty());
}
