#include <vector>

#include <coho/toy/tabular_value.hpp>

#include "support/catch.hpp"

using namespace coho;

static_assert(differentiable_value_model<toy::tabular_value> && trainable<toy::tabular_value>);

TEST_CASE("values are read before the token, and the pullback adds to their entries") {
  toy::tabular_value value(3, 1);
  for (Eigen::Index i = 0; i < value.table.size(); ++i) value.table(i) = static_cast<double>(i);
  // Contexts of order 1: blank is 0, token t is t + 1.
  const token_batch batch{{{2}, {0}}, {{1, 2}, {2}}};
  CHECK(value.values(batch) == std::vector<double>{3, 2, 1});
  const auto [out, pullback] = value.forward(batch);
  CHECK(out.values == value.values(batch));
  const std::vector<double> seed{0.5, -1, 2};
  pullback({.values = seed});
  pullback({.values = seed});
  CHECK(value.gradient == Eigen::VectorXd{{0, 4, -2, 1}});
  value.zero_gradients();
  CHECK(value.gradient.isZero());
}
