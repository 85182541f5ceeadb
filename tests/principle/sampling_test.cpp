#include <array>
#include <limits>
#include <map>
#include <set>

#include <range/v3/view/filter.hpp>

#include <coho/principle/sampling.hpp>

#include "support/catch.hpp"
#include "support/chi_square.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::principle;
using coho::prompt_type;

namespace {

const std::vector<principle> weighted_principles{{"Honest", "a", "", 3},
                                                 {"Ethical", "b", "", 2},
                                                 {"Creative", "c", "", 1},
                                                 {"Consistent Reasoning", "d", "", 1},
                                                 {"Numerical Sensitive", "e", "", 1},
                                                 {"Harmless", "f", "", 1}};

}  // namespace

TEST_CASE("ordered pairs come with the probability of successive draws") {
  const std::vector<double> weights{4, 2, 0, 1};
  std::vector<std::size_t> counts;
  std::vector<double> expected;
  std::vector<std::pair<std::size_t, std::size_t>> cells;
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t j = 0; j < 4; ++j) {
      if (i == j) continue;
      cells.emplace_back(i, j);
      expected.push_back(weights[i] / 7 * weights[j] / (7 - weights[i]));
      counts.push_back(0);
    }
  }
  coho::rng random(5);
  for (int n = 0; n < 60000; ++n) {
    const auto drawn = coho::sample_without_replacement(weights, 2, random);
    REQUIRE(drawn.size() == 2);
    const auto cell = std::find(cells.begin(), cells.end(), std::pair(drawn[0], drawn[1]));
    REQUIRE(cell != cells.end());
    ++counts[static_cast<std::size_t>(cell - cells.begin())];
  }
  CHECK(coho::test::fits(counts, expected));
}

TEST_CASE("equal weights give every order the same chance") {
  coho::rng random(9);
  std::map<std::vector<std::size_t>, std::size_t> seen;
  for (int n = 0; n < 24000; ++n) ++seen[coho::sample_without_replacement(std::vector{2., 2., 2., 2.}, 4, random)];
  REQUIRE(seen.size() == 24);
  std::vector<std::size_t> counts;
  for (const auto& [order, count] : seen) counts.push_back(count);
  CHECK(coho::test::fits(counts, std::vector<double>(24, 1.0 / 24)));
}

TEST_CASE("what cannot be drawn is refused") {
  coho::rng random(1);
  CHECK(coho::sample_without_replacement(std::vector{1., 2.}, 0, random).empty());
  CHECK_THROWS_WITH(coho::sample_without_replacement(std::vector{1., 0., 2.}, 3, random),
                    ContainsSubstring("3") && ContainsSubstring("only 2"));
  CHECK_THROWS_AS(coho::sample_without_replacement(std::vector{1., -1.}, 1, random), coho::argument_error);
  CHECK_THROWS_AS(coho::sample_without_replacement(std::vector{std::numeric_limits<double>::infinity()}, 1, random),
                  coho::argument_error);
}

TEST_CASE("a draw uses one number a weight, drawn or not") {
  coho::rng a(3), b(3);
  coho::sample_without_replacement(std::vector{1., 0., 1.}, 1, a);
  for (int i = 0; i < 3; ++i) b.uniform();
  CHECK(a.save() == b.save());
}

TEST_CASE("geometric set sizes follow the law that is redrawn above the maximum") {
  const auto sizes = coho::principle_count_distribution::geometric();
  CHECK(sizes.max() == 8);
  std::vector<double> expected(8);
  const double kept = 1 - std::pow(0.8, 8);
  for (std::size_t n = 1; n <= 8; ++n) {
    expected[n - 1] = 0.2 * std::pow(0.8, static_cast<double>(n - 1)) / kept;
    CHECK(sizes.probability(n) == Approx(expected[n - 1]).epsilon(1e-12));
  }
  CHECK(sizes.probability(0) == 0);
  CHECK(sizes.probability(9) == 0);
  coho::rng random(21), literal(22);
  std::vector<std::size_t> counts(8, 0), redrawn(8, 0);
  for (int i = 0; i < 40000; ++i) {
    ++counts[sizes(random) - 1];
    std::size_t n;
    do {
      n = 1;
      while (!literal.bernoulli(0.2)) ++n;
    } while (n > 8);
    ++redrawn[n - 1];
  }
  CHECK(coho::test::fits(counts, expected));
  CHECK(coho::test::fits(redrawn, expected));
}

TEST_CASE("given and fixed set sizes") {
  const auto sizes = coho::principle_count_distribution::from_masses({.25, .40, .35});
  coho::rng random(2);
  std::vector<std::size_t> counts(3, 0);
  for (int i = 0; i < 20000; ++i) ++counts[sizes(random) - 1];
  CHECK(coho::test::fits(counts, std::vector{.25, .40, .35}));
  CHECK(coho::principle_count_distribution::from_masses({2, 0, 6, 0}).probability(3) == Approx(0.75));
  CHECK(coho::principle_count_distribution::from_masses({2, 0, 6, 0}).max() == 3);
  for (int i = 0; i < 100; ++i) {
    CHECK(coho::principle_count_distribution::fixed(3)(random) == 3);
    CHECK(coho::principle_count_distribution::geometric(1.0, 5)(random) == 1);
    CHECK(coho::principle_count_distribution::from_masses({1, 0, 1})(random) != 2);
  }
  CHECK_THROWS_AS(coho::principle_count_distribution::geometric(0.0, 8), coho::option_error);
  CHECK_THROWS_AS(coho::principle_count_distribution::geometric(0.2, 0), coho::option_error);
  CHECK_THROWS_AS(coho::principle_count_distribution::fixed(0), coho::option_error);
  CHECK_THROWS_AS(coho::principle_count_distribution::from_masses({.5, -.1}), coho::option_error);
  CHECK_THROWS_AS(coho::principle_count_distribution::from_masses({}), coho::option_error);
}

TEST_CASE("prompt types raise the weights of matching names by 128") {
  CHECK(coho::boosted_weights(weighted_principles, prompt_type::general) == std::vector<double>{3, 2, 1, 1, 1, 1});
  CHECK(coho::boosted_weights(weighted_principles, prompt_type::reasoning) ==
        std::vector<double>{3, 2, 1, 129, 129, 1});
  CHECK(coho::boosted_weights(weighted_principles, prompt_type::red_teaming) ==
        std::vector<double>{3, 130, 1, 1, 1, 129});
  const std::vector<coho::type_boost> twice{{prompt_type::general, {"crea", "tive"}, 5}};
  CHECK(coho::boosted_weights(weighted_principles, prompt_type::general, twice)[2] == 6);
}

TEST_CASE("a view of principles can be sampled by a pipe") {
  coho::rng random(4);
  const auto heavy = [](const principle& p) { return p.weight > 1; };
  const std::vector<principle> drawn =
      weighted_principles | ranges::views::filter(heavy) | coho::draw_principles(2, random);
  REQUIRE(drawn.size() == 2);
  CHECK(drawn[0].name != drawn[1].name);
  for (const auto& p : drawn) CHECK(p.weight > 1);
  coho::rng again(4);
  CHECK(coho::draw_principles(weighted_principles | ranges::views::filter(heavy), 2, again) == drawn);
}

TEST_CASE("all responses to a prompt are judged by one draw") {
  const coho::principle_sampler sampler(weighted_principles);
  const coho::rng base(7, 100);
  std::set<std::vector<std::size_t>> seen;
  for (std::uint64_t prompt = 0; prompt < 50; ++prompt) {
    const auto chosen = sampler.draw(prompt_type::general, base, prompt);
    CHECK(chosen.size() == 3);
    CHECK(std::set(chosen.begin(), chosen.end()).size() == 3);
    CHECK(sampler.draw(prompt_type::general, base, prompt) == chosen);
    seen.insert(chosen);
  }
  CHECK(seen.size() > 20);
  coho::rng copy = base;
  CHECK(copy.save() == coho::rng(7, 100).save());
}

TEST_CASE("a reasoning prompt is nearly always judged by the reasoning principles") {
  const coho::principle_sampler sampler(weighted_principles, {.count = 2, .boosts = coho::default_type_boosts()});
  coho::rng random(8);
  int boosted = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto chosen = sampler.draw(prompt_type::reasoning, random);
    boosted += std::set(chosen.begin(), chosen.end()) == std::set<std::size_t>{3, 4};
  }
  // 258/265 · 129/136, each first half of 258
  CHECK(boosted / 2000.0 == Approx(258.0 / 265 * 129 / 136).margin(0.025));
  CHECK(sampler.definitions(std::vector<std::size_t>{5, 0}) == std::vector<std::string>{"f", "a"});
  CHECK_THROWS_AS(sampler.definitions(std::vector<std::size_t>{6}), coho::argument_error);
}

TEST_CASE("a sampler's options are checked when it is made") {
  CHECK_THROWS_AS(coho::principle_sampler(weighted_principles, {.count = 0, .boosts = {}}), coho::option_error);
  CHECK_THROWS_WITH(coho::principle_sampler(weighted_principles, {.count = 7, .boosts = {}}),
                    ContainsSubstring("only 6"));
  CHECK_THROWS_AS(
      coho::principle_sampler(weighted_principles, {.count = 1, .boosts = {{prompt_type::general, {"x"}, -1}}}),
      coho::option_error);
  CHECK_THROWS_AS(coho::principle_sampler(std::vector<principle>{}), coho::argument_error);
}
