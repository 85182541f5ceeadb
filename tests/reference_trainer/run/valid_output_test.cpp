#include "run/valid_output.hpp"

#include <sstream>
#include <string>

#include "support/catch.hpp"
#include "text/utf8.hpp"

using namespace coho::trainer;

TEST_CASE("valid output: characters pass, the bytes of none become U+FFFD") {
  std::ostringstream out;
  {
    const valid_output filter(out);
    out << "caf\xC3\xA9 " << 42 << " \xFF\x80 \xE2\x82\xAC" << std::flush;
    CHECK(out.str() == "café 42 \uFFFD\uFFFD €");
  }
  out << "\xFF";
  CHECK(out.str().ends_with('\xFF'));  // the stream is its own again
}

TEST_CASE("valid output: the first bytes of a character wait for the others, and are given up at the end") {
  std::ostringstream out;
  {
    valid_output filter(out);
    for (const char byte : std::string("\xF0\x9F\xA6\x8A!")) {
      out << byte << std::flush;
      CHECK(is_utf8(out.str()));
    }
    CHECK(out.str() == "🦊!");
    out << "\xE2\x82" << std::flush;
    CHECK(out.str() == "🦊!");
    out << "x" << std::flush;
    CHECK(out.str() == "🦊!\uFFFD\uFFFDx");
    out << "\xF0\x9F" << std::flush;
  }
  CHECK(out.str() == "🦊!\uFFFD\uFFFDx\uFFFD\uFFFD");
}

TEST_CASE("valid output: what cannot be written fails the stream") {
  struct full : std::streambuf {
  } none;
  std::ostream out(&none);
  const valid_output filter(out);
  out << "text";
  CHECK(out.bad());
}
