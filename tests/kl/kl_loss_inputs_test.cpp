#include <type_traits>
#include <vector>

#include <coho/kl/kl_loss.hpp>
#include <coho/kl/kl_loss_inputs.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;

TEST_CASE("the KL loss by name is the same whatever the containers") {
  const std::vector<double> log_probs{-1, -2};
  const std::vector<float> reference{-2, -1.5}, narrow{-1, -2};
  const coho::kl_loss loss{{.estimator = coho::kl_estimator::k2}};
  const coho::kl_loss_inputs<double> kept{.log_probs = log_probs, .reference_log_probs = reference};
  CHECK(loss(kept) == Approx(0.5 * (0.5 + 0.125)));
  const auto result =
      loss.value_and_grad(coho::kl_loss_inputs<float>{.log_probs = narrow, .reference_log_probs = reference});
  STATIC_REQUIRE(std::is_same_v<decltype(result.d_log_probs), Eigen::ArrayXf>);
  CHECK(result.d_log_probs[0] == Approx(0.5));
  CHECK(result.d_log_probs[1] == Approx(-0.25));
}
