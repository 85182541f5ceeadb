#include "text/text_units.hpp"

#include "support/catch.hpp"

using namespace coho::trainer;
using words = std::vector<std::string>;
using Catch::Matchers::WithinAbs;

TEST_CASE("text units: words in lower case, without punctuation") {
  CHECK(text_units("The fox -- the FOX!") == words{"the", "fox", "the", "fox"});
  CHECK(text_units("a1, b2\n`c`") == words{"a1", "b2", "c"});
  CHECK(text_units("") == words{});
  CHECK(text_units("Größe café “Да”") == words{"größe", "café", "Да"});
}

TEST_CASE("text units: characters of scripts without spaces are words of their own") {
  CHECK(text_units("我是ABC，你好。") == words{"我", "是", "abc", "你", "好"});
  CHECK(text_units("カメラ") == words{"カ", "メ", "ラ"});
  CHECK(text_units("안녕 세계") == words{"안녕", "세계"});
}

TEST_CASE("text units: where each begins") {
  CHECK(text_unit_offsets("The fox -- é 你好") == std::vector<std::size_t>{0, 4, 11, 14, 17});
  CHECK(text_unit_offsets(" ?").empty());
}

TEST_CASE("text units: broken bytes separate") { CHECK(text_units("a\xFF b\xE4") == words{"a", "b"}); }

TEST_CASE("text units: repeated runs") {
  const words text{"a", "b", "a", "b", "a", "b"};
  // ab ba ab ba ab: five runs, two distinct
  CHECK_THAT(repeated_ngram_fraction(text, 2), WithinAbs(0.6, 1e-12));
  CHECK(repeated_ngram_fraction(text, 6) == 0);
  CHECK(repeated_ngram_fraction(text, 7) == 0);
  CHECK(text_ngrams(text, 0).empty());
}

TEST_CASE("text units: the share that lies in known runs counts each word once") {
  const words text{"x", "a", "b", "c", "d", "y", "z", "a"};
  const words source{"a", "b", "c", "d"};
  const auto runs = text_ngrams(source, 2);
  // ab, bc, cd cover a b c d: four of eight
  CHECK_THAT(ngram_coverage(text, 2, {runs.begin(), runs.end()}), WithinAbs(0.5, 1e-12));
  CHECK(ngram_coverage(text, 2, {}) == 0);
  CHECK(ngram_coverage({}, 2, {}) == 0);
}
