#include <vector>

#include <coho/loss/inputs/kto_loss_inputs.hpp>
#include <coho/loss/kto.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;

TEST_CASE("single responses by name give the same loss whatever the containers") {
  const std::vector<double> log_probs{-1, -2};
  const std::vector<float> reference{-2, -1.5};
  const coho::kto_loss loss;
  const double expected = 0.5 * (loss(-1.0, -2.0, 1.0, 0.5) + loss(-2.0, -1.5, 0.0, 0.5));
  const std::vector<bool> labels{true, false};
  CHECK(loss({.log_probs = log_probs, .reference_log_probs = reference, .desirable = labels, .kl_baseline = 0.5}) ==
        Approx(expected));
  const coho::kto_loss_inputs<double> kept{
      .log_probs = log_probs, .reference_log_probs = reference, .desirable = flags{1, 0}, .kl_baseline = 0.5};
  CHECK(loss(kept) == Approx(expected));
}
