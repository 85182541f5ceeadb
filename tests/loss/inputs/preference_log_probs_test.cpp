#include <cmath>

#include <coho/loss/cpo.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/inputs/preference_log_probs.hpp>
#include <coho/loss/kto.hpp>
#include <coho/loss/orpo.hpp>
#include <coho/loss/simpo.hpp>

#include "support/catch.hpp"
#include "support/loss_inputs.hpp"
#include "support/test_arrays.hpp"

using namespace coho;

namespace {

preference_log_probs four_pairs() {
  return {.chosen = -2 - test::normals(4, 1).abs(),
          .rejected = -2 - test::normals(4, 2).abs(),
          .reference_chosen = -2 - test::normals(4, 3).abs(),
          .reference_rejected = -2 - test::normals(4, 4).abs(),
          .chosen_tokens = Eigen::ArrayXd{{1, 2, 4, 3}},
          .rejected_tokens = Eigen::ArrayXd{{2, 1, 3, 5}},
          .kl_baseline = 0.25};
}
const token_weights<Eigen::ArrayXd> pair_weights{Eigen::ArrayXd{{0.5, 0.25, 0, 0.25}}};

template <class Result>
void check_same_loss(const preference_gradient& a, const Result& b) {
  CHECK(a.value == b.value);
  CHECK((a.d_chosen == b.d_chosen).all());
  CHECK((a.d_rejected == b.d_rejected).all());
  CHECK(a.accuracy == b.accuracy);
  CHECK(a.reward_difference == b.margin);
}

}  // namespace

TEST_CASE("losses of a batch of preferences are those of its arrays") {
  const auto x = four_pairs();
  const dpo_loss dpo{{.beta = 0.3}};
  check_same_loss(dpo.value_and_grad(x, pair_weights),
                  dpo.value_and_grad(test::with_reference(x.chosen, x.rejected, x.reference_chosen,
                                                          x.reference_rejected, pair_weights)));
  const dpo_loss hinge{{.beta = 0.3, .form = dpo_form::hinge}};
  check_same_loss(hinge.value_and_grad(x, pair_weights),
                  hinge.value_and_grad(test::with_reference(x.chosen, x.rejected, x.reference_chosen,
                                                            x.reference_rejected, pair_weights)));
  const cpo_loss cpo{{.beta = 0.3}};
  check_same_loss(cpo.value_and_grad(x, pair_weights),
                  cpo.value_and_grad(test::with_lengths(x.chosen, x.rejected, x.chosen_tokens, pair_weights)));
}

TEST_CASE("losses of means give the gradient of sums") {
  const auto x = four_pairs();
  const Eigen::ArrayXd chosen = x.chosen / x.chosen_tokens, rejected = x.rejected / x.rejected_tokens;
  const auto check = [&](const auto& loss) {
    const auto sums = loss.value_and_grad(x, pair_weights);
    const auto means = loss.value_and_grad(test::means(chosen, rejected, pair_weights));
    CHECK(sums.value == means.value);
    CHECK((sums.d_chosen == means.d_chosen / x.chosen_tokens).all());
    CHECK((sums.d_rejected == means.d_rejected / x.rejected_tokens).all());
  };
  check(orpo_loss{});
  check(simpo_loss{});
}

TEST_CASE("KTO judges the responses of an example one by one, and not one that is missing") {
  auto x = four_pairs();
  x.rejected_tokens(1) = 0;
  const kto_loss loss;
  const auto result = loss.value_and_grad(x, pair_weights);
  double expected = 0;
  for (Eigen::Index i = 0; i < 4; ++i) {
    expected += pair_weights.values(i) * loss(x.chosen(i), x.reference_chosen(i), 1.0, x.kl_baseline);
    if (i != 1) expected += pair_weights.values(i) * loss(x.rejected(i), x.reference_rejected(i), 0.0, x.kl_baseline);
  }
  CHECK(result.value == Approx(expected));
  CHECK(result.d_rejected(1) == 0);
  CHECK(result.d_chosen(1) < 0);
  CHECK(result.d_rejected(0) > 0);
  x.kl_baseline = -1;
  CHECK_THROWS_AS(loss.value_and_grad(x, pair_weights), argument_error);
}
