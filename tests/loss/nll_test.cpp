#include <vector>

#include <coho/loss/nll.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::make_token_weights, coho::nll_loss;

TEMPLATE_TEST_CASE("the mean of negative log-probs", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  const auto p = make<TestType>({-1, -2, -6});
  CHECK(nll_loss{}(p) == Approx(3));
  const auto result = nll_loss{}.value_and_grad(
      p, make_token_weights(offsets{0, 2, 3}, {.kind = coho::reduction::sequence_mean_of_means}));
  CHECK(result.value == Approx(0.5 * 1.5 + 0.5 * 6));
  CHECK(result.d_log_probs[0] == Approx(-0.25));
  CHECK(result.d_log_probs[2] == Approx(-0.5));
  CHECK(nll_loss{}(-2.5) == 2.5);
}

TEST_CASE("the gradient of nll agrees with central differences") {
  const Eigen::ArrayXd p = normals(21, 1);
  flags mask(21, 1);
  mask[3] = 0;
  const auto weights = make_token_weights(mask, offsets{0, 4, 21});
  const auto result = nll_loss{}.value_and_grad(p, weights);
  check_gradient(p, result.d_log_probs, [&](const Eigen::ArrayXd& x) { return nll_loss{}(x, weights); });
}

TEST_CASE("mistake 9: masked NaN does not reach nll, NaN in a real token is an error") {
  const auto weights = make_token_weights(flags{1, 0}, offsets{0, 2});
  CHECK(nll_loss{}(array({-1, not_a_number}), weights) == 1);
  CHECK(nll_loss{}(array({-1, -infinity}), weights) == 1);
  CHECK_THROWS_AS(nll_loss{}(array({not_a_number, -1}), weights), coho::argument_error);
  CHECK_THROWS_AS(nll_loss{}(array({-infinity, -1}), weights), coho::argument_error);
}

TEST_CASE("nll of nothing is 0, and lengths are checked") {
  CHECK(nll_loss{}(Eigen::ArrayXd()) == 0);
  CHECK(nll_loss{}.value_and_grad(Eigen::ArrayXd()).value == 0);
  CHECK_THROWS_AS(nll_loss{}(array({-1}), make_token_weights(offsets{0, 2})), coho::argument_error);
}
