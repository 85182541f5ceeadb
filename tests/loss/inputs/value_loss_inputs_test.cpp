#include <coho/loss/huber_value.hpp>
#include <coho/loss/inputs/value_loss_inputs.hpp>
#include <coho/loss/value_clip.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;

TEST_CASE("value losses exchange their inputs; one that needs no old values does without") {
  const Eigen::ArrayXd values = array({1, 2}), returns = array({2, 4});
  const coho::value_loss_inputs<double> in{.values = values, .old_values = values, .returns = returns};
  const coho::huber_value_loss squared{{.delta = infinity}};
  CHECK(coho::value_clip_loss{}(in) == Approx(1.25));
  CHECK(squared(in) == Approx(1.25));
  CHECK(squared({.values = values, .returns = returns}) == Approx(1.25));
  CHECK_THROWS_WITH(coho::value_clip_loss{}({.values = values, .returns = returns}),
                    "value_clip_loss: old_values has 0 elements where 2 were expected");
}
