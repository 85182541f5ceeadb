#include <cstddef>
#include <vector>

#include <coho/require.hpp>
#include <coho/torch/module_value.hpp>

#include "support/catch.hpp"
#include "support/table_module.hpp"

using namespace coho;
using coho::test::table_module;

static_assert(require_differentiable_value_model<module_value<table_module>>());
static_assert(trainable<module_value<table_module>>);

TEST_CASE("values of a module are read before the token that they judge") {
  table_module module(5, 1, 3);
  module_value value{module};
  const auto batch = test::uneven_batch();
  // Of the prompts 1 2 3 1, 2, 3 3 and the responses 2 0, 3 1 2 0, 1.
  const std::vector<token> before{1, 2, 2, 3, 1, 2, 3};
  const auto values = value.values(batch);
  REQUIRE(values.size() == before.size());
  for (std::size_t t = 0; t < before.size(); ++t) CHECK(values[t] == module.number(before[t], 0));

  auto [output, pullback] = value.forward(batch);
  CHECK(output.values == values);
  const std::vector<double> seed{1, 2, 4, 8, 16, 32, 64};
  pullback({.values = seed});
  CHECK(module.gradient(1, 0) == 1 + 16);
  CHECK(module.gradient(2, 0) == 2 + 4 + 32);
  CHECK(module.gradient(3, 0) == 8 + 64);
  CHECK(module.gradient(0, 0) == 0);
  value.forward(batch).second({});  // no gradient: nothing is added
  CHECK(value.squared_gradient_norm() == 17.0 * 17 + 38 * 38 + 72 * 72);
  CHECK(value.values(token_batch{}).empty());
}

TEST_CASE("neither padding nor the form of the output changes values") {
  struct flat : table_module {
    using table_module::table_module;
    at::Tensor forward(const at::Tensor& tokens) { return table_module::forward(tokens).squeeze(2); }
  };
  table_module module(5, 1, 4);
  flat same(5, 1, 4);
  module.running = same.running = true;
  const auto batch = test::uneven_batch();
  const auto values = module_value{module}.values(batch);
  CHECK(module_value(module, 4).values(batch) == values);
  CHECK(module_value{same}.values(batch) == values);
  table_module wide(5, 2, 4);
  CHECK_THROWS_AS(module_value{wide}.values(batch), argument_error);
}
