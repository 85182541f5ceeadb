#include "observe/progress.hpp"

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>

#include "observe/format.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {
std::ptrdiff_t count_lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }
}  // namespace

TEST_CASE("durations read well at every size") {
  CHECK(format_duration(0.04) == "0.0 s");
  CHECK(format_duration(9.2) == "9.2 s");
  CHECK(format_duration(9.96) == "10 s");
  CHECK(format_duration(59.6) == "1 m 00 s");
  CHECK(format_duration(185) == "3 m 05 s");
  CHECK(format_duration(7620) == "2 h 07 m");
  CHECK(format_duration(-1) == "?");
}

TEST_CASE("a line tells share, count, rate and time left") {
  std::ostringstream stream;
  auto terminal = std::make_shared<console>(stream, false, false);
  progress bar(terminal, "judge", 200, "pairs");
  bar.advance(50, "agreement 0.93");
  CHECK(bar.line(10, false) == "judge         25 % 50/200 pairs, 5.0/s, 30 s left  agreement 0.93");
  CHECK(bar.line(100, false) == "judge         25 % 50/200 pairs, 2.0 s each, 5 m 00 s left  agreement 0.93");
  bar.advance(150);
  CHECK(bar.line(10, true) == "judge        200 pairs, 20.0/s, 10 s  agreement 0.93");
  bar.finish();

  progress resumed(terminal, "judge", 200, "pairs");
  resumed.start_at(100);
  resumed.advance(50);
  CHECK(resumed.line(10, false) == "judge         75 % 150/200 pairs, 5.0/s, 10 s left");
}

TEST_CASE("a log file gets few lines however many steps there are") {
  std::ostringstream stream;
  auto terminal = std::make_shared<console>(stream, false, false);
  {
    progress bar(terminal, "sample", 100000);
    for (int i = 0; i < 100000; ++i) bar.advance();
    bar.finish();
    bar.finish();
  }
  CHECK(count_lines(stream.str()) == 1);
  CHECK(stream.str().find('\r') == std::string::npos);
  CHECK_THAT(stream.str(), ContainsSubstring("100000"));
}

TEST_CASE("plain lines appear when the interval has passed") {
  std::ostringstream stream;
  progress bar(std::make_shared<console>(stream, false, false), "ppo", 3);
  bar.plain_interval = {};
  bar.advance();
  bar.advance();
  CHECK(count_lines(stream.str()) == 2);
}

TEST_CASE("on a terminal log lines go above the live line, and the end leaves one line") {
  std::ostringstream stream;
  auto terminal = std::make_shared<console>(stream, true, false);
  terminal->redraw("working 10 %");
  terminal->print("saved step 10");
  CHECK(stream.str() == "\r\033[Kworking 10 %\r\033[Ksaved step 10\nworking 10 %");
  stream.str("");
  terminal->redraw("");
  CHECK(stream.str() == "\r\033[K");
}

TEST_CASE("an interrupted stage leaves a line that says how far it came") {
  std::ostringstream stream;
  {
    progress bar(std::make_shared<console>(stream, false, false), "judge", 10);
    bar.advance(4);
  }
  CHECK_THAT(stream.str(), ContainsSubstring("4/10"));
}

TEST_CASE("quiet prints nothing") {
  std::ostringstream stream;
  auto terminal = std::make_shared<console>(stream, true, true);
  progress bar(terminal, "judge", 10);
  bar.advance(10);
  bar.finish();
  terminal->print("x");
  CHECK(stream.str().empty());
}

TEST_CASE("what is counted beside the steps has rates of its own") {
  std::ostringstream stream;
  progress bar(std::make_shared<console>(stream, false, false), "ppo", 10, "steps");
  bar.count("generated", 1000);
  bar.count("tokens", 30);
  bar.advance(1);
  bar.count("generated", 1000);
  bar.advance(1);
  CHECK(bar.line(8, false) == "ppo           20 % 2/10 steps, 4.0 s each, 32 s left, 250 generated/s, 3.8 tokens/s");
  bar.finish();
  CHECK_THAT(stream.str(), ContainsSubstring("generated/s"));
}

TEST_CASE("a live line never reaches the last column, whatever it holds and however the window changes") {
  std::ostringstream stream;
  std::size_t width = 12;
  console terminal(stream, true, false, [&] { return width; });
  const auto shown = [&](std::string_view line) {
    stream.str("");
    terminal.redraw(line);
    REQUIRE(stream.str().starts_with("\r\033[K"));
    return stream.str().substr(4);
  };
  CHECK(shown("0123456789abcdef") == "0123456789a");
  CHECK(shown("日本語日本語日本語") == "日本語日本");
  CHECK(shown("a\tb\nc\rd\033[2J") == "a b c d [2J");
  width = 5;
  CHECK(shown("0123456789") == "0123");
  stream.str("");
  terminal.print("a log line of any length");
  CHECK(stream.str() == "\r\033[Ka log line of any length\n0123");
  width = 1;
  CHECK(shown("0123456789").empty());
  width = 30;  // room for the echo of ^C
  CHECK(shown(std::string(100, 'x')) == std::string(27, 'x'));
  shown("0123456789");
  width = 80;  // the window is made wide again: the whole line is still known
  stream.str("");
  terminal.print("x");
  CHECK(stream.str() == "\r\033[Kx\n0123456789");
}
