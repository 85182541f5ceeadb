#include "resources/inclusion_probabilities.hpp"

#include <cmath>
#include <vector>

#include <coho/error.hpp>
#include <coho/principle/sampling.hpp>
#include <coho/rng.hpp>

#include "support/catch.hpp"

using namespace coho;
using namespace coho::trainer;

namespace {

// The definition itself: all orders in which `count` entries can be drawn.
void add_draws(const std::vector<double>& weights, std::size_t count, double left, double p, std::vector<bool>& drawn,
               std::vector<double>& out) {
  if (count == 0) {
    for (std::size_t i = 0; i < weights.size(); ++i)
      if (drawn[i]) out[i] += p;
    return;
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (drawn[i]) continue;
    drawn[i] = true;
    add_draws(weights, count - 1, left - weights[i], p * weights[i] / left, drawn, out);
    drawn[i] = false;
  }
}

std::vector<double> by_enumeration(const std::vector<double>& weights, std::size_t count) {
  std::vector<double> out(weights.size(), 0.0);
  std::vector<bool> drawn(weights.size(), false);
  double sum = 0;
  for (const double w : weights) sum += w;
  add_draws(weights, count, sum, 1, drawn, out);
  return out;
}

}  // namespace

TEST_CASE("inclusion probabilities: the probability of being drawn is that of drawing one after the other") {
  // By hand: of weights 2, 1, 1 two are drawn: the first is missing with 2 · (1/4 · 1/3) = 1/6.
  const auto small = inclusion_probabilities(std::vector{2.0, 1.0, 1.0}, 2);
  CHECK(small[0] == Approx(5.0 / 6).epsilon(1e-9));
  CHECK(small[1] == Approx(7.0 / 12).epsilon(1e-9));

  for (const auto& weights : {std::vector<double>{3, 2, 1, 1, 1, 3, 3, 1, 1, 3, 1, 1, 4, 2},
                              {1, 129, 1, 1, 129, 3, 0.5},
                              {1e-3, 1, 1, 1000}}) {
    const auto exact = by_enumeration(weights, 3), measured = inclusion_probabilities(weights, 3);
    for (std::size_t i = 0; i < weights.size(); ++i) CHECK(measured[i] == Approx(exact[i]).epsilon(1e-7));
  }
  CHECK(inclusion_probabilities(std::vector{1.0, 0.0, 1.0}, 3) == std::vector<double>{1, 0, 1});
  CHECK(inclusion_probabilities(std::vector{1.0, 1.0}, 0) == std::vector<double>{0, 0});
  CHECK_THROWS_AS(inclusion_probabilities(std::vector{-1.0}, 1), argument_error);
}

TEST_CASE("inclusion probabilities: what is likely to be drawn is drawn as often by the sampler") {
  const std::vector<double> weights{4, 2, 1, 1, 0};
  std::vector<double> share(weights.size(), 0.0);
  for (std::uint64_t i = 0; i < 20000; ++i) {
    rng random(3, i);
    for (const auto index : sample_without_replacement(weights, 2, random)) share[index] += 1.0 / 20000;
  }
  const auto expected = inclusion_probabilities(weights, 2);
  for (std::size_t i = 0; i < weights.size(); ++i) CHECK(std::abs(share[i] - expected[i]) < 0.015);  // four deviations
}
