#include <limits>

#include <coho/loss/chosen_nll.hpp>
#include <coho/loss/cpo.hpp>
#include <coho/reduce.hpp>
#include <coho/train/steps/preference_objective.hpp>

#include "support/catch.hpp"

using namespace coho;

namespace {

using weights_type = token_weights<Eigen::ArrayXd>;

preference_log_probs three() {
  preference_log_probs x;
  x.chosen = Eigen::ArrayXd{{-2, -6, 0}};
  x.rejected = Eigen::ArrayXd{{-5, -3, -4}};
  x.chosen_tokens = Eigen::ArrayXd{{4, 3, 0}};
  x.rejected_tokens = Eigen::ArrayXd{{1, 2, 8}};
  return x;
}

}  // namespace

TEST_CASE("chosen_nll: the loss is that of the chosen responses, per token") {
  STATIC_REQUIRE(preference_loss<chosen_nll_loss>);
  // 0.1·2·(2/4) + 0.2·2·(6/3); the third example has no chosen response.
  const auto result = chosen_nll_loss{}.value_and_grad(three(), weights_type{Eigen::ArrayXd{{0.1, 0.2, 0.5}}});
  CHECK(result.value == Approx(0.9));
  CHECK(result.d_chosen(0) == Approx(-0.05));
  CHECK(result.d_chosen(1) == Approx(-0.4 / 3));
  CHECK(result.d_chosen(2) == 0);
  CHECK((result.d_rejected == 0).all());
  // +3, −3 and a single response.
  CHECK(result.accuracy == Approx(0.5));
  CHECK(result.reward_difference == Approx(0));
}

TEST_CASE("chosen_nll: over pairs it is the term that CPO adds") {
  preference_log_probs x = three();
  x.chosen_tokens(2) = 2;
  x.chosen(2) = -1;
  const weights_type half{Eigen::ArrayXd::Constant(3, 1.0 / 6)}, whole{Eigen::ArrayXd::Constant(3, 1.0 / 3)};
  const double with = cpo_loss{{.nll_coefficient = 1}}.value_and_grad(x, whole).value;
  const double without = cpo_loss{{.nll_coefficient = 0}}.value_and_grad(x, whole).value;
  CHECK(chosen_nll_loss{}.value_and_grad(x, half).value == Approx(with - without));
}

TEST_CASE("chosen_nll: an example of weight 0 changes nothing") {
  auto x = three();
  const weights_type weights{Eigen::ArrayXd{{0.1, 0, 0.5}}};
  const auto before = chosen_nll_loss{}.value_and_grad(x, weights);
  x.chosen(1) = -100;
  const auto after = chosen_nll_loss{}.value_and_grad(x, weights);
  CHECK(after.value == before.value);
  CHECK(after.accuracy == before.accuracy);
  CHECK(after.d_chosen(1) == 0);
  CHECK(before.accuracy == Approx(0.75));
}
