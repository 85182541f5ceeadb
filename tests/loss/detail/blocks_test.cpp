#include <cmath>
#include <vector>

#include <coho/loss/detail/blocks.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho;
using namespace coho::detail;
using coho::test::not_a_number;

TEST_CASE("blocks: limit keeps NaN and the bounds themselves") {
  CHECK(limit(0.5, -1.0, 1.0) == 0.5);
  CHECK(limit(-3.0, -1.0, 1.0) == -1.0);
  CHECK(limit(3.0, -1.0, 1.0) == 1.0);
  CHECK(limit(1.0, -1.0, 1.0) == 1.0);
  CHECK(std::isnan(limit(not_a_number, -1.0, 1.0)));
  CHECK(keep_if(true, 2.0) == 2.0);
  CHECK(keep_if(false, 2.0) == 0.0);
}

TEST_CASE("blocks: a block shorter than the rest is filled with zeros") {
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

TEST_CASE("blocks: another number type is converted into the block") {
  const std::vector<double> x{1, 2.5};
  block<float> scratch;
  const float* view = scratch.view(x, 0, 2);
  CHECK(view == scratch.data);
  CHECK(view[1] == 2.5f);
  scratch.exp();
  CHECK(scratch[0] == Approx(std::exp(1.0)));
}

TEST_CASE("blocks: weighted sums and products of a block") {
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

TEST_CASE("blocks: weights are counted and numbers of weight 0 replaced, NaN among them") {
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

TEST_CASE("blocks: the exponential of a block is that of the standard library") {
  block<double> x;
  for (std::size_t k = 0; k < token_block; ++k) x[k] = static_cast<double>(k) / 12.75 - 10;
  const block<double> before = x;
  x.exp();
  for (std::size_t k = 0; k < token_block; ++k) REQUIRE(x[k] == std::exp(before.data[k]));
}
