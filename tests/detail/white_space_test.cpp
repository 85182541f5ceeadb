#include <string_view>

#include <coho/detail/white_space.hpp>

#include "support/catch.hpp"

TEST_CASE("the bytes of one white space character, as Python's str.isspace knows them") {
  using coho::detail::leading_white_space;
  for (const std::string_view one : {" x", "\tx", "\n", "\r", "\x0B", "\x1F"}) CHECK(leading_white_space(one) == 1);
  CHECK(leading_white_space("\xC2\xA0x") == 2);  // no-break space
  // Ogham, en quad, hair space, line separator, ideographic space.
  for (const std::string_view three : {"\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x8A", "\xE2\x80\xA8", "\xE3\x80\x80"})
    CHECK(leading_white_space(three) == 3);
  // Nothing, a letter, a control, a zero-width space, a cut character, a byte order mark.
  for (const std::string_view none : {"", "x ", "\x01", "\xE2\x80\x8B", "\xC2", "\xEF\xBB\xBF"})
    CHECK(leading_white_space(none) == 0);
}
