#include "text/text_overlap.hpp"

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("text overlap: sentences and their ends") {
  for (const char* good :
       {"So.", "So!", "Why?", "So. \n", "He said \"so.\"", "(So.)", "好。", "「好。」", "And so on…"})
    CHECK(ends_as_sentence(good));
  for (const char* bad : {"", "So", "So,", "So;", "So:", "\"So\"", "好", "So. Then"})
    CHECK_FALSE(ends_as_sentence(bad));
}

TEST_CASE("text overlap: overlap of texts") {
  CHECK(text_overlap("Be kind.", "be  KIND!") == 1);
  CHECK(text_overlap("abcd", "wxyz") == 0);
  CHECK(text_overlap("", "") == 1);
  // " abc", "abcd", "bcd " against " abc", "abce", "bce ": one of five.
  CHECK(text_overlap("abcd", "abce") == Approx(0.2));
  CHECK(text_overlap("The AI keeps its answer short and to the point, without needless words.",
                     "The AI keeps its answer brief and to the point, without needless words.") > 0.7);
  CHECK(text_overlap("请用中文简短地回答每一个问题。", "请用中文简短地回答每一个问题！") == 1);
}
