#include "evaluation/choice_scores.hpp"

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "support/catch.hpp"

using namespace coho;
using namespace coho::trainer;

TEST_CASE("choice: accuracy and its standard error") {
  const choice_count count{.items = 25, .right = 20};
  CHECK(count.accuracy() == 0.8);
  CHECK(count.standard_error() == Approx(0.08));  // √(0.8 · 0.2 / 25)
  CHECK(choice_count{}.standard_error() == 0);
  CHECK(to_json(count)["standard_error"].get<double>() == count.standard_error());
}

TEST_CASE("choice: the highest score wins, ties do not look at places") {
  const std::vector<std::string_view> texts{"b", "a", "c"};
  const auto pick = [&](std::vector<double> scores, std::uint64_t seed, std::string_view question = "q") {
    return best_choice(scores, texts, question, seed);
  };
  CHECK(pick({1, 3, 2}, 1).index == 1);
  CHECK_FALSE(pick({1, 3, 2}, 1).tied);
  std::vector<std::size_t> counts(3, 0);
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const auto chosen = pick({2, 2, 1}, seed);
    CHECK(chosen.tied);
    ++counts[chosen.index];
    // The same answers in another order: the same text wins.
    const std::vector<std::string_view> turned{"c", "a", "b"};
    const std::vector<double> scores{1, 2, 2};
    CHECK(turned[best_choice(scores, turned, "q", seed).index] == texts[chosen.index]);
  }
  CHECK(counts[2] == 0);
  CHECK(counts[0] > 110);  // 150 fair draws less four deviations are 115
  CHECK(counts[1] > 110);
  CHECK_THROWS_AS(best_choice({}, {}, "q", 1), argument_error);
}
