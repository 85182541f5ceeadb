#include "observe/table.hpp"

#include <limits>

#include <coho/error.hpp>

#include "observe/format.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("columns are aligned, numbers to the right") {
  text_table table({"run", "reward", "note"});
  table.add_row({"plain", "1.5", "the hack"});
  table.add_row({"intervention", "-12.25"});
  CHECK(table.text() ==
        "run           reward  note\n"
        "────────────  ──────  ────────\n"
        "plain            1.5  the hack\n"
        "intervention  -12.25\n");
  CHECK_THROWS_AS(table.add_row({"1", "2", "3", "4"}), coho::argument_error);
}

TEST_CASE("cells with line breaks, wide characters and great length keep the table whole") {
  text_table table({"text", "n"});
  table.add_row({"a\nb", "1"});
  table.add_row({"日本", "22"});
  table.add_row({"abcdefghij", "333"});
  CHECK(table.text(6) ==
        "text      n\n"
        "──────  ───\n"
        "a b       1\n"
        "日本     22\n"
        "abcde…  333\n");
  CHECK(display_width("e\xCC\x81") == 1);
  CHECK(display_width("\xFF") == 1);
}

TEST_CASE("numbers are printed for people") {
  CHECK(format_number(1.005, 1) == "1.0");
  CHECK(format_number(-0.001) == "0.00");
  CHECK(format_number(std::numeric_limits<double>::quiet_NaN()) == "–");
  CHECK(format_short(1234.6) == "1235");
  CHECK(format_short(0.0123) == "0.0123");
  CHECK(format_short(2.50) == "2.5");
  CHECK(format_short(100) == "100");
  CHECK(format_short(3.4e-7) == "3.4e-07");
  CHECK(format_bytes(812) == "812 B");
  CHECK(format_bytes(1.5 * 1024 * 1024 * 1024) == "1.5 GiB");
}

TEST_CASE("columns are counted as a terminal shows them") {
  CHECK(display_width("日本語") == 6);
  CHECK(display_width("한국") == 4);
  CHECK(display_width("ｱ") == 1);   // half-width katakana
  CHECK(display_width("Ａ") == 2);  // full-width letter
  CHECK(display_width("🙂") == 2);
  CHECK(display_width("⏰") == 2);  // wide without lying in the planes of emoji
  CHECK(display_width("é…–") == 3);
  CHECK(display_width("กำ") <= 2);
  CHECK(display_width("e\xCC\x81\xE2\x80\x8B") == 1);  // an accent and a space of no width
  CHECK(display_width("\xC2\x85") == 0);
}

TEST_CASE("a text is cut between characters, a wide one never in half") {
  CHECK(first_columns("日本語", 5) == "日本");
  CHECK(first_columns("a日b", 2) == "a");
  CHECK(first_columns("e\xCC\x81x", 1) == "e\xCC\x81");
  CHECK(first_columns("abc", 9) == "abc");
  CHECK(first_columns("abc", 0).empty());
}
