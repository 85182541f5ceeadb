#include "evaluation/evaluate_hhh.hpp"

#include <cmath>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "tokenizer/sentencepiece.hpp"

using namespace coho;
using namespace coho::trainer;

namespace {

const choice_prompt wording("Q {Input} A {OutputA} B {OutputB} is\n", "test");

// The preferred answer is always the first, as in the published files.
std::vector<hhh_item> first_preferred(std::size_t count) {
  std::vector<hhh_item> out;
  for (std::size_t i = 0; i < count; ++i) {
    const auto n = std::to_string(i);
    out.push_back({i % 2 == 0 ? "honest" : "other", "question " + n, {{"good" + n, true}, {"bad" + n, false}}});
  }
  return out;
}

std::vector<double> answers(std::span<const std::string> prompts,
                            const std::function<double(const std::string&)>& odds) {
  std::vector<double> out;
  for (const auto& prompt : prompts) out.push_back(odds(prompt));
  return out;
}

bool good_first(const std::string& prompt) { return prompt.find("good") < prompt.find("bad"); }

}  // namespace

TEST_CASE("hhh: a judge that sees the better answer is right everywhere, whatever letter it likes") {
  for (const double bias : {0.0, 5.0, -5.0}) {
    const auto result = score_hhh(
        first_preferred(40), wording,
        [&](auto prompts) {
          return answers(prompts, [&](const std::string& p) { return bias + (good_first(p) ? 1.0 : -1.0); });
        },
        1);
    CHECK(result.overall.accuracy() == 1.0);
    CHECK(result.categories.at("honest").items == 20);
    CHECK(result.categories.at("other").right == 20);
    CHECK(result.ties == 0);
    CHECK(result.letter_bias == Approx(bias).margin(1e-12));
  }
  const auto one = score_hhh(
      first_preferred(1), wording,
      [](auto) {
        return std::vector<double>{3, 2};
      },
      1);
  // Placed first the good answer is preferred by 3, placed second the other is by 2.
  CHECK(one.scores == std::vector<std::vector<double>>{{1, -1}});
  CHECK(one.chosen[0].index == 0);
  const auto turned = score_hhh(
      first_preferred(10), wording,
      [](auto prompts) { return answers(prompts, [](const std::string& p) { return good_first(p) ? -1.0 : 1.0; }); },
      1);
  CHECK(turned.overall.right == 0);
}

TEST_CASE("hhh: preferring a letter gains nothing") {
  auto items = first_preferred(400);
  const auto letter = [](auto prompts) { return answers(prompts, [](const std::string&) { return 3.0; }); };
  const auto result = score_hhh(items, wording, letter, 1);
  CHECK(result.ties == 400);
  // Four standard deviations of 400 fair draws.
  CHECK(std::abs(static_cast<double>(result.overall.right) - 200) < 40);
  // The draw does not look at the order of the answers, and is the same each time.
  for (auto& item : items) std::swap(item.answers[0], item.answers[1]);
  CHECK(score_hhh(items, wording, letter, 1).overall.right == result.overall.right);
  CHECK(score_hhh(items, wording, letter, 2).overall.right != result.overall.right);
}

TEST_CASE("hhh: a partly right judge gets its exact share, and more than two answers are compared in pairs") {
  const auto result = score_hhh(
      first_preferred(8), wording,
      [](auto prompts) {
        return answers(prompts, [](const std::string& p) {
          const bool right = p.find("question 3") == std::string::npos && p.find("question 6") == std::string::npos;
          return good_first(p) == right ? 0.5 : -0.5;
        });
      },
      1);
  CHECK(result.overall.right == 6);
  CHECK(result.categories.at("honest").right == 3);
  CHECK(result.categories.at("other").right == 3);

  const std::vector<hhh_item> three{{"x", "q", {{"1", false}, {"3", true}, {"2", false}}}};
  const auto by_number = score_hhh(
      three, choice_prompt("{Input}{OutputA}{OutputB}.", "t"),
      [](auto prompts) {
        return answers(prompts, [](const std::string& p) { return static_cast<double>(p[1] - p[2]); });
      },
      1);
  CHECK(by_number.overall.right == 1);
  CHECK_THROWS_AS(score_hhh(
                      three, wording, [](auto) { return std::vector<double>(6, std::nan("")); }, 1),
                  argument_error);
  CHECK_THROWS_AS(score_hhh(
                      three, wording, [](auto) { return std::vector<double>{}; }, 1),
                  argument_error);
}

TEST_CASE("hhh: the wording's placeholders are checked, and texts are not expanded") {
  CHECK(wording("{OutputA}", "x", "{Input}") == "Q {OutputA} A x B {Input} is");
  CHECK(choice_prompt("{OutputB}{Input}{OutputA}!", "t")("i", "a", "b") == "bia!");
  CHECK_THROWS_AS(choice_prompt("{Input} {OutputA} is", "t"), file_error);
  CHECK_THROWS_AS(choice_prompt("{Input} {Input} {OutputA} {OutputB} is", "t"), file_error);
  CHECK_THROWS_AS(choice_prompt("{Input} {OutputA} {OutputB}\n", "t"), file_error);
  const auto shipped = choice_prompt::from_file(test::source_dir() / "reference_trainer" / "prompts" / "hhh.txt");
  CHECK_FALSE(shipped("i", "a", "b").ends_with("\n"));
}

TEST_CASE("hhh: long texts keep their last tokens, marked") {
  const auto data = test::shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto tokenizer = sentencepiece_tokenizer::from_file(*data / "stories260K");
  const std::string text = "Once upon a time, there was a little girl named Lily.";
  const auto ids = tokenizer.encode(text);
  REQUIRE(ids.size() > 6);
  const std::string end = tokenizer.decode(std::span<const token>(ids).last(4));
  const auto cut = truncate_hhh_item({"c", text, {{text, true}, {"short", false}}}, tokenizer, 4);
  CHECK(cut.input == "... " + end);
  CHECK(cut.answers[0].text == end + "...");
  CHECK(cut.answers[0].preferred);
  CHECK(cut.answers[1].text ==
        (tokenizer.encode("short").size() <= 4
             ? "short"
             : tokenizer.decode(std::span<const token>(tokenizer.encode("short")).last(4)) + "..."));
  CHECK(truncate_hhh_item({"c", text, {}}, tokenizer, ids.size()).input == text);
  CHECK(truncate_hhh_item({"c", "\n " + text + "\n\n", {{" ", false}}}, tokenizer, 1000).input == text);
  CHECK(truncate_hhh_item({"c", text, {{" ", false}}}, tokenizer, 1000).answers[0].text.empty());
}
