#include "resources/inclusion_probabilities.hpp"

#include <cmath>
#include <numbers>

#include <coho/error.hpp>

namespace coho::trainer {
namespace {

// P(fewer than `count` of the clocks other than i have rung) at u = exp(−w_i t).
double probability_fewer_rung(std::span<const double> rates, std::size_t i, std::size_t count, double u) {
  std::vector<double> rung(count, 0.0);  // P(exactly this many have rung), without the terms from count on
  rung[0] = 1;
  for (std::size_t j = 0; j < rates.size(); ++j) {
    if (j == i) continue;
    const double silent = std::pow(u, rates[j] / rates[i]);
    for (std::size_t n = count; n-- > 0;) rung[n] = rung[n] * silent + (n > 0 ? rung[n - 1] * (1 - silent) : 0.0);
  }
  double sum = 0;
  for (const double p : rung) sum += p;
  return sum;
}

}  // namespace

std::vector<double> inclusion_probabilities(std::span<const double> weights, std::size_t count) {
  std::vector<double> rates;
  for (const double weight : weights) {
    require_argument(std::isfinite(weight) && weight >= 0,
                     "inclusion probabilities: weights must be finite, at least 0");
    if (weight > 0) rates.push_back(weight);
  }
  std::vector<double> out;
  std::size_t i = 0;
  for (const double weight : weights) {
    if (weight == 0 || count == 0) {
      out.push_back(0);
    } else if (rates.size() <= count) {
      out.push_back(1);
    } else {
      // Tanh-sinh: the integrand is steep at 0 when the other weights are small compared with this one.
      constexpr double step = 1.0 / 32;
      double sum = 0, whole = 0;
      for (double x = -3.5; x <= 3.5; x += step) {
        const double inner = std::numbers::pi / 2 * std::sinh(x);
        const double u = 1 / (1 + std::exp(-2 * inner));
        const double share = std::cosh(x) / std::pow(std::cosh(inner), 2);
        sum += share * probability_fewer_rung(rates, i, count, u);
        whole += share;
      }
      out.push_back(sum / whole);
    }
    if (weight > 0) ++i;
  }
  return out;
}

}  // namespace coho::trainer
