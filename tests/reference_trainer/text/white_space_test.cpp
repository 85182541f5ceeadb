#include "text/white_space.hpp"

#include "support/catch.hpp"
#include "text/utf8.hpp"

using namespace coho::trainer;

TEST_CASE("white space: either end of a text, in any script") {
  CHECK(trim_leading_white_space("\u3000 \ta b ") == "a b ");
  CHECK(trim_trailing_white_space(" a\u00A0b\u2003\n") == " a\u00A0b");
  CHECK(trim_trailing_white_space("a\x80 ") == "a\x80");
  CHECK(trim_leading_white_space("\u3000").empty());
}

TEST_CASE("white space: line breaks of Windows become plain ones, a single carriage return stays") {
  CHECK(unify_line_breaks("a\r\n\r\nb\rc\r") == "a\n\nb\rc\r");
}

TEST_CASE("UTF-8: the character before an offset, and the first byte that is no character's") {
  CHECK(utf8_previous("aé€", 6) == 3);
  CHECK(utf8_previous("aé€", 3) == 1);
  CHECK(utf8_previous("aé€", 1) == 0);
  CHECK(find_invalid_utf8("aé€") == std::string_view::npos);
  CHECK(find_invalid_utf8("é\xE2\x82") == 2);
  CHECK(repair_utf8_by_subparts("\xE2\x82x") == "\uFFFDx");
  CHECK(repair_utf8("\xE2\x82x") == "\uFFFD\uFFFDx");
}
