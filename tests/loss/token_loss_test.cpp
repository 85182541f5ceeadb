#include <coho/loss/token_loss.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho;
using namespace coho::detail;
using coho::test::not_a_number;

TEST_CASE("token loss: limit keeps NaN and the bounds themselves") {
  CHECK(limit(0.5, -1.0, 1.0) == 0.5);
  CHECK(limit(-3.0, -1.0, 1.0) == -1.0);
  CHECK(limit(3.0, -1.0, 1.0) == 1.0);
  CHECK(limit(1.0, -1.0, 1.0) == 1.0);
  CHECK(std::isnan(limit(not_a_number, -1.0, 1.0)));
  CHECK(keep_if(true, 2.0) == 2.0);
  CHECK(keep_if(false, 2.0) == 0.0);
}

TEST_CASE("token loss: a block shorter than the rest is filled with zeros") {
  std::vector<float> x(token_block + 3);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
  block<float> scratch;
  CHECK(scratch.view(x, 0, token_block) == x.data());
  const float* rest = scratch.view(x, token_block, 3);
  CHECK(rest == scratch.data);
  CHECK(rest[2] == static_cast<float>(x.size()));
  for (std::size_t i = 3; i < token_block; ++i) REQUIRE(rest[i] == 0.0f);
  const double first = token_block;
  CHECK(scratch.sum() == 3 * first + 6);
}

TEST_CASE("token loss: another number type is converted into the block") {
  const std::vector<double> x{1, 2.5};
  block<float> scratch;
  const float* view = scratch.view(x, 0, 2);
  CHECK(view == scratch.data);
  CHECK(view[1] == 2.5f);
  scratch.exp();
  CHECK(scratch[0] == Approx(std::exp(1.0)));
}

TEST_CASE("token loss: weighted sums and products of a block") {
  block<double> weights, x;
  const std::vector<double> w{0.5, 0.25, 0}, v{2, 4, 7};
  weights.view(std::vector<float>{}, 0, 0);
  x.view(std::vector<float>{}, 0, 0);
  for (std::size_t i = 0; i < 3; ++i) weights[i] = w[i], x[i] = v[i];
  CHECK(dot(weights.data, x.data) == 2.0);
  std::vector<double> out(3, -1);
  store_product(weights.data, x.data, out.data(), 2);
  CHECK(out == std::vector<double>{1, 1, -1});
}

TEST_CASE("token loss: mean weights sum to one, none for no elements") {
  const mean_weights four(4);
  CHECK(four.size() == 4);
  CHECK(four[3] == 0.25);
  CHECK(mean_weights(0).weight == 0);
}

TEST_CASE("token loss: a loss that is not finite is an error that says who") {
  CHECK_NOTHROW(require_finite(1, "nll"));
  CHECK_THROWS_WITH(require_finite(not_a_number, "nll"), Catch::Matchers::ContainsSubstring("nll"));
  CHECK_THROWS_AS(require_finite(std::numeric_limits<double>::infinity(), "nll"), argument_error);
}

TEST_CASE("token loss: the exponential of a block is that of the standard library within two units of the last digit") {
  block<double> x, divergence;
  block<float> narrow;
  for (double scale : {1e-12, 1e-3, 0.35, 2.0, 20.0, 80.0, 700.0}) {
    for (std::size_t k = 0; k < token_block; ++k) x[k] = scale * (static_cast<double>(k) / 127.5 - 1);
    const block<double> before = x;
    for (std::size_t k = 0; k < token_block; ++k) narrow[k] = static_cast<float>(std::min(scale, 85.0) / scale * x[k]);
    const block<float> narrow_before = narrow;
    x.exp();
    narrow.exp();
    for (std::size_t k = 0; k < token_block; ++k) {
      const double expected = std::exp(before.data[k]);
      REQUIRE(std::abs(x[k] - expected) <= 4.5e-16 * expected);
      REQUIRE(x[k] == small_exp(before.data[k]));  // the same wherever it stands
      const double rounded = std::exp(static_cast<double>(narrow_before.data[k]));
      REQUIRE(std::abs(static_cast<double>(narrow[k]) - rounded) <= 2.4e-7 * rounded);
    }
    block<double> again = before;
    again.exp(divergence.data);
    for (std::size_t k = 0; k < token_block; ++k) {
      const double l = before.data[k], plain = std::expm1(l) - l,
                   near = l * l * (0.5 + l / 6 + l * l / 24 + l * l * l / 120);
      REQUIRE(again[k] == x[k]);
      REQUIRE(divergence[k] >= 0);
      if (scale < 1e-2) REQUIRE(std::abs(divergence[k] - near) <= 1e-14 * near);
      if (scale >= 2 && std::abs(l) > 0.4) REQUIRE(std::abs(divergence[k] - plain) <= 1e-14 * plain);
    }
  }
  x[0] = 0, x[1] = not_a_number, x[2] = -0.0;
  x.exp();
  CHECK(x[0] == 1.0);
  CHECK(std::isnan(x[1]));
  CHECK(x[2] == 1.0);
}

TEST_CASE("token loss: weights are counted and numbers of weight 0 replaced, NaN among them") {
  block<double> weights, x;
  for (std::size_t k = 0; k < token_block; ++k) weights[k] = 1, x[k] = 2;
  weights[3] = 0, x[3] = not_a_number;
  CHECK(count_nonzero(weights.data) == 255);
  clear_masked(weights.data, 255, x.data);
  CHECK(x[3] == 0.0);
  CHECK(x[4] == 2.0);
  std::vector<float> out(2, -1);
  store(x.data, out.data(), 1);
  CHECK(out == std::vector<float>{2, -1});
}
