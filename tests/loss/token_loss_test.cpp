#include <coho/loss/token_loss.hpp>

#include <cmath>
#include <limits>
#include <vector>

#include "support/catch.hpp"

using namespace coho;
using namespace coho::detail;

namespace {
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
}

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
