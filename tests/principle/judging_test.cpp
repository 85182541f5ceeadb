#include <limits>

#include <coho/principle/judging.hpp>

#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;

namespace {

const std::vector<coho::principle> judged_principles{{"Concise", "Few words.", "", 1}, {"Ethical", "No harm.", "", 1}};

coho::judge_prompt make_prompt() {
  return coho::judge_prompt(
      coho::prompt_template(coho::template_kind::judge,
                            "{UserInstruction}|{OutputA}|{OutputB}|{Dimension}: {Definition}|{Dimension} (", "t"));
}

/// Prefers the shorter output under Concise and "kind" under Ethical, and whatever stands first by 0.75.
struct biased_judge {
  std::size_t calls = 0;
  std::vector<double> log_odds(std::span<const std::string> prompts, std::string_view first, std::string_view second) {
    ++calls;
    CHECK(first == "a");
    CHECK(second == "b");
    std::vector<double> out;
    for (const auto& prompt : prompts) {
      const auto one = prompt.find('|'), two = prompt.find('|', one + 1), three = prompt.find('|', two + 1);
      const auto a = prompt.substr(one + 1, two - one - 1), b = prompt.substr(two + 1, three - two - 1);
      const bool concise = prompt.find("Concise") != std::string::npos;
      const double gain = concise ? static_cast<double>(b.size()) - static_cast<double>(a.size())
                                  : (a == "kind" ? 2.0 : 0.0) - (b == "kind" ? 2.0 : 0.0);
      out.push_back(gain + 0.75);
    }
    return out;
  }
};

}  // namespace

TEST_CASE("a pair is put to the judge in both orders under every principle") {
  const auto prompts = coho::judge_prompts(make_prompt(), {"ask", "x", "y"}, judged_principles);
  CHECK(prompts ==
        std::vector<std::string>{"ask|x|y|Concise: Few words.|Concise (", "ask|y|x|Concise: Few words.|Concise (",
                                 "ask|x|y|Ethical: No harm.|Ethical (", "ask|y|x|Ethical: No harm.|Ethical ("});
}

TEST_CASE("the second order's sign is turned, so that both speak for response A") {
  const auto judgement = coho::combine_orders(std::vector{3.0, -1.0, 0.5, 2.0});
  REQUIRE(judgement.scores.size() == 2);
  CHECK(judgement.scores[0] == coho::judge_score{3.0, 1.0});
  CHECK(judgement.scores[0].mean() == 2.0);
  CHECK(judgement.scores[0].agrees());
  CHECK(judgement.scores[1] == coho::judge_score{0.5, -2.0});
  CHECK(judgement.scores[1].mean() == -0.75);
  CHECK_FALSE(judgement.scores[1].agrees());
  CHECK_FALSE(coho::judge_score{0.0, 1.0}.agrees());
  CHECK(coho::combine_orders(std::vector<float>{}).scores.empty());
}

TEST_CASE("a position bias cancels in the mean") {
  biased_judge judge;
  const std::vector<coho::response_pair> pairs{{"ask", "kind", "ab"}, {"ask", "abc", "kind"}};
  const auto judgements = coho::judge_pairs(judge, make_prompt(), pairs, judged_principles);
  CHECK(judge.calls == 1);
  REQUIRE(judgements.size() == 2);
  CHECK(judgements[0].scores[0].ab == Approx(-1.25));
  CHECK(judgements[0].scores[0].ba == Approx(-2.75));
  CHECK(judgements[0].scores[0].mean() == Approx(-2.0));
  CHECK(judgements[0].scores[1].mean() == Approx(2.0));
  CHECK(judgements[1].scores[0].mean() == Approx(1.0));
  CHECK(judgements[1].scores[1].mean() == Approx(-2.0));
  CHECK(coho::judge_pairs(judge, make_prompt(), std::span<const coho::response_pair>{}, judged_principles).empty());
  CHECK(judge.calls == 1);
}

TEST_CASE("judges that answer badly are found out") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(coho::combine_orders(std::vector{1.0, 1.0, 2.0, nan}), ContainsSubstring("principle 1"));
  CHECK_THROWS_AS(coho::combine_orders(std::vector{1.0, 1.0, 2.0}), coho::argument_error);
  struct silent {
    std::vector<double> log_odds(std::span<const std::string>, std::string_view, std::string_view) { return {1.0}; }
  } judge;
  const std::vector<coho::response_pair> pairs{{"ask", "x", "y"}};
  CHECK_THROWS_WITH(coho::judge_pairs(judge, make_prompt(), pairs, judged_principles), ContainsSubstring("1 of 4"));
}
