#include "benchmarks/question_wording.hpp"

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("question wording: values stand where their placeholders did, and are not expanded") {
  const question_wording wording("B {b}, A {a}: it is\r\n\n", "w.txt", {"{a}", "{b}"});
  CHECK(wording({"1", "2"}) == "B 2, A 1: it is");
  CHECK(wording({"{b}", "{a}"}) == "B {a}, A {b}: it is");
  CHECK(question_wording("{a}{b}.", "w.txt", {"{a}", "{b}"})({"x", "y"}) == "xy.");
  CHECK_THROWS_AS(wording({"1"}), argument_error);
}

TEST_CASE("question wording: errors name file and placeholder") {
  const auto make = [](std::string_view text) { question_wording(text, "w.txt", {"{a}", "{b}"}); };
  CHECK_THROWS_WITH(make("{a} is"), ContainsSubstring("w.txt") && ContainsSubstring("{b}: missing"));
  CHECK_THROWS_WITH(make("{a} {b} {a} is"), ContainsSubstring("{a}: occurs a second time"));
  CHECK_THROWS_WITH(make("{a} {b}\n"), ContainsSubstring("ends with a placeholder"));
  CHECK_THROWS_AS(question_wording::from_file("/nowhere/w.txt", {"{a}"}), file_error);
}

TEST_CASE("question wording: the shipped ones can be read") {
  const auto prompts = test::source_dir() / "reference_trainer" / "prompts";
  const auto truth = question_wording::from_file(prompts / "truthfulqa.txt", {"{Question}", "{Answer}"});
  const auto text = truth({"Why?", "So."});
  CHECK(text.find("Why?") < text.find("So."));
  CHECK_FALSE(text.ends_with(' '));
  CHECK_FALSE(text.ends_with('\n'));
  CHECK_NOTHROW(question_wording::from_file(prompts / "hhh.txt", {"{Input}", "{OutputA}", "{OutputB}"}));
}
