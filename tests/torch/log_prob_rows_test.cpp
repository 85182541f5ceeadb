#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <coho/rng.hpp>
#include <coho/torch/log_prob_rows.hpp>

#include "support/catch.hpp"

namespace {

template <class Number>
struct rows_under_test {
  using numbers = std::vector<Number>;
  static constexpr std::int64_t rows = 3, stride = 50;
  std::int64_t columns;
  numbers logits = numbers(rows * stride), bias = numbers(stride), maximum, sum, weighted_sum, chosen, rescale, entropy;
  std::vector<std::int64_t> targets;

  explicit rows_under_test(std::int64_t n) : columns(n), targets{100, 100 + n - 1, 100 + n} {
    coho::rng random{7};
    for (Number& x : logits) x = static_cast<Number>(3 * random.normal());
    for (Number& x : bias) x = static_cast<Number>(random.normal());
    maximum = {-std::numeric_limits<Number>::infinity(), Number(0.5), 30};
    sum = {0, 2, 3};
    weighted_sum = {0, -1, -2};
    chosen = {-7, -7, -7};
    rescale = numbers(rows, -1);
    entropy = numbers(rows * columns, -1);
  }
  coho::logit_block<Number> block(bool biased, Number factor) {
    return {.logits = logits.data(),
            .stride = stride,
            .rows = rows,
            .columns = columns,
            .bias = biased ? bias.data() : nullptr,
            .inverse_temperature = factor,
            .targets = targets.data(),
            .first_column = 100};
  }
  coho::softmax_sums<Number> sums() {
    return {.maximum = maximum.data(),
            .sum = sum.data(),
            .weighted_sum = weighted_sum.data(),
            .chosen = chosen.data(),
            .rescale = rescale.data(),
            .entropy_block = entropy.data()};
  }
  long double z(std::int64_t r, std::int64_t c, bool biased, Number factor) const {
    return static_cast<long double>(logits[r * stride + c]) * factor + (biased ? bias[c] : 0);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("log_prob_rows: forward is its formulas in long double", "", float, double) {
  using number = TestType;
  const std::int64_t columns = GENERATE(1, 7, 8, 15, 16, 17, 33, 50);
  const bool biased = GENERATE(false, true), wider = GENERATE(false, true);
  const number factor = GENERATE(1, 2) == 1 ? number(1) : number(1.25);
  const rows_under_test<number> before(columns);
  rows_under_test<number> now(columns);
  if (wider)
    coho::detail::log_prob_block_forward_cpu(now.block(biased, factor), now.sums());
  else
    coho::detail::log_prob_rows<number>::forward(now.block(biased, factor), now.sums());
  const auto near = [](number a, long double b) {
    return std::abs(static_cast<double>(a - b)) <=
           40 * static_cast<double>(std::numeric_limits<number>::epsilon() * std::max(1.0L, std::abs(b)));
  };
  for (std::int64_t r = 0; r < now.rows; ++r) {
    const long double old = before.maximum[r];
    long double most = old, sum = 0, weighted_sum = 0;
    for (std::int64_t c = 0; c < columns; ++c) most = std::max(most, before.z(r, c, biased, factor));
    for (std::int64_t c = 0; c < columns; ++c) {
      const long double x = before.z(r, c, biased, factor) - most, e = std::exp(x);
      CHECK(near(now.logits[r * now.stride + c], e));
      CHECK(near(now.entropy[r * columns + c], x * e));
      sum += e;
      weighted_sum += x * e;
    }
    const long double ratio = std::exp(old - most);
    CHECK(near(now.maximum[r], most));
    CHECK(near(now.rescale[r], ratio));
    CHECK(near(now.sum[r], sum + ratio * before.sum[r]));
    const long double moved = r == 0 ? 0 : ratio * (before.weighted_sum[r] + (old - most) * before.sum[r]);
    CHECK(near(now.weighted_sum[r], weighted_sum + moved));
    // What stands behind the columns of a row is not the block's.
    for (std::int64_t c = columns; c < now.stride; ++c)
      CHECK(now.logits[r * now.stride + c] == before.logits[r * now.stride + c]);
  }
  CHECK(near(now.chosen[0], before.z(0, 0, biased, factor)));
  CHECK(near(now.chosen[1], before.z(1, columns - 1, biased, factor)));
  CHECK(now.chosen[2] == -7);  // of the next block
}

TEMPLATE_TEST_CASE("log_prob_rows: backward is its formulas in long double", "", float, double) {
  using number = TestType;
  const std::int64_t columns = GENERATE(1, 15, 16, 33, 50);
  const bool of_log_prob = GENERATE(false, true), of_entropy = GENERATE(false, true), wider = GENERATE(false, true);
  const number factor = number(1.25), log_sum_exp[3] = {4, 9, 12}, entropy[3] = {1, 2, 3}, g[3] = {1, -2, 3},
               h[3] = {-1, 4, 2};
  const rows_under_test<number> before(columns);
  rows_under_test<number> now(columns);
  const coho::log_prob_slopes<number> slopes{.log_sum_exp = log_sum_exp,
                                             .entropy = of_entropy ? entropy : nullptr,
                                             .d_log_prob = of_log_prob ? g : nullptr,
                                             .d_entropy = of_entropy ? h : nullptr};
  if (wider)
    coho::detail::log_prob_block_backward_cpu(now.block(true, factor), slopes);
  else
    coho::detail::log_prob_rows<number>::backward(now.block(true, factor), slopes);
  for (std::int64_t r = 0; r < now.rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      const long double log_p = before.z(r, c, true, factor) - log_sum_exp[r];
      const long double own = of_log_prob && now.targets[r] == 100 + c ? g[r] : 0;
      const long double slope =
          (of_log_prob ? g[r] : number(0)) + (of_entropy ? (log_p + entropy[r]) * h[r] : number(0));
      const long double exact = factor * (own - std::exp(log_p) * slope);
      INFO("row " << r << ", column " << c);
      CHECK(std::abs(static_cast<double>(now.logits[r * now.stride + c] - exact)) <=
            60 * static_cast<double>(std::numeric_limits<number>::epsilon() * std::max(1.0L, std::abs(exact))));
    }
  }
}

TEMPLATE_TEST_CASE("log_prob_rows: minus infinity has the probability 0, before all others too", "", float, double) {
  using number = TestType;
  constexpr number nothing = -std::numeric_limits<number>::infinity();
  std::vector<number> logits(20, nothing), entropy(20, -1);
  number maximum = nothing, sum = 0, weighted_sum = 0, chosen = 5, rescale = -1;
  const std::int64_t target = 3;
  const auto pass = [&](std::int64_t first) {
    coho::detail::log_prob_block_forward_cpu<number>({.logits = logits.data(),
                                                      .stride = 20,
                                                      .rows = 1,
                                                      .columns = 20,
                                                      .bias = nullptr,
                                                      .inverse_temperature = 1,
                                                      .targets = &target,
                                                      .first_column = first},
                                                     {.maximum = &maximum,
                                                      .sum = &sum,
                                                      .weighted_sum = &weighted_sum,
                                                      .chosen = &chosen,
                                                      .rescale = &rescale,
                                                      .entropy_block = entropy.data()});
  };
  pass(0);
  CHECK(maximum == nothing);
  CHECK(chosen == nothing);
  CHECK(sum == 0);
  CHECK(weighted_sum == 0);
  for (const number e : logits) CHECK(e == 0);
  logits.assign(20, nothing);
  logits[17] = 2;
  pass(20);
  CHECK(maximum == 2);
  CHECK(rescale == 0);
  CHECK(sum == 1);
  CHECK(weighted_sum == 0);
  for (std::size_t c = 0; c < 20; ++c) {
    CHECK(logits[c] == (c == 17 ? 1 : 0));
    CHECK(entropy[c] == 0);
  }
}
