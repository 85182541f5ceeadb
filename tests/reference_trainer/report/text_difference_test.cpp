#include "report/text_difference.hpp"

#include "support/catch.hpp"

using namespace coho::trainer;

namespace {
// The pieces as one text, changed ones in brackets.
std::string marked(const std::vector<text_piece>& pieces) {
  std::string out;
  for (const auto& piece : pieces) out += piece.changed ? "[" + piece.text + "]" : piece.text;
  return out;
}

std::string joined(const std::vector<text_piece>& pieces) {
  std::string out;
  for (const auto& piece : pieces) out += piece.text;
  return out;
}
}  // namespace

TEST_CASE("a difference marks the words that the other text lacks") {
  const auto both = compare_texts("the red fox sleeps.", "the old red fox runs.");
  CHECK(marked(both.before) == "the red fox [sleeps].");
  CHECK(marked(both.after) == "the [old] red fox [runs].");
}

TEST_CASE("neighbouring words are marked as one, their space with them") {
  const auto both = compare_texts("it is a bird", "it is a very small brown bird");
  CHECK(marked(both.before) == "it is a bird");
  CHECK(marked(both.after) == "it is a [very small brown] bird");
}

TEST_CASE("the pieces are the texts again, whatever they hold") {
  for (const auto& [a, b] : std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                                             {"a", ""},
                                                                             {" \n x", "x \n"},
                                                                             {"日本語の文", "日本の文"},
                                                                             {"\xFF\xC3(", "\xC3("},
                                                                             {"l'été", "l’été"}}) {
    const auto both = compare_texts(a, b);
    CHECK(joined(both.before) == a);
    CHECK(joined(both.after) == b);
  }
}

TEST_CASE("ideographs are words of their own") {
  const auto both = compare_texts("日本語の文", "日本の文");
  CHECK(marked(both.before) == "日本[語]の文");
  CHECK(marked(both.after) == "日本の文");
}

TEST_CASE("texts with little in common, or too long to compare, are not marked at all") {
  const auto other = compare_texts("one two three four five", "six seven eight nine one");
  CHECK(marked(other.before) == "one two three four five");
  CHECK(marked(other.after) == "six seven eight nine one");
  std::string a, b;
  for (int i = 0; i < 3000; ++i) {
    a += "a" + std::to_string(i) + " x ";
    b += "b" + std::to_string(i) + " x ";
  }
  CHECK(compare_texts(a, b).after.size() == 1);
}
