#include "preferences/preference_loss_options.hpp"

#include <coho/error.hpp>
#include <coho/loss/dpo.hpp>

#include "config/read_options.hpp"
#include "support/catch.hpp"

using namespace coho;
using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

preference_loss_options read(const std::vector<std::string>& given) {
  return read_section<preference_loss_options>(config(given).section("dpo"));
}

preference_log_probs two_pairs() {
  preference_log_probs x;
  x.chosen = Eigen::ArrayXd{{-4, -6}};
  x.rejected = Eigen::ArrayXd{{-5, -3}};
  x.reference_chosen = Eigen::ArrayXd{{-4.5, -5}};
  x.reference_rejected = Eigen::ArrayXd{{-4, -4}};
  x.chosen_tokens = Eigen::ArrayXd{{2, 3}};
  x.rejected_tokens = Eigen::ArrayXd{{4, 1}};
  return x;
}

}  // namespace

TEST_CASE("preference_loss_options: without any it is DPO") {
  const token_weights<Eigen::ArrayXd> weights{Eigen::ArrayXd{{0.5, 0.5}}};
  const auto sum = read({}).make();
  CHECK(sum.needs_reference);
  CHECK_FALSE(sum.needs_kl_baseline);
  CHECK(sum.value_and_grad(two_pairs(), weights).value == dpo_loss{}.value_and_grad(two_pairs(), weights).value);
}

TEST_CASE("preference_loss_options: weights and options of each loss are its own; measures are those of the first") {
  const token_weights<Eigen::ArrayXd> weights{Eigen::ArrayXd{{0.5, 0.5}}};
  const auto x = two_pairs();
  const auto sum = read({R"(dpo.loss=["sft", "simpo", "dpo"])", "dpo.sft.weight=0.5", "dpo.simpo.beta=3",
                         "dpo.dpo.weight=2", "dpo.dpo.form=hinge"})
                       .make();
  const auto simpo = simpo_loss{{.beta = 3}}.value_and_grad(x, weights);
  const auto dpo = dpo_loss{{.form = dpo_form::hinge}}.value_and_grad(x, weights);
  const double nll = (4.0 / 2 + 6.0 / 3) / 2;
  const auto all = sum.value_and_grad(x, weights);
  CHECK(all.value == Approx(simpo.value + 2 * dpo.value + 0.5 * nll));
  CHECK(all.reward_difference == Approx(simpo.reward_difference));
  CHECK(all.d_rejected(0) == Approx(simpo.d_rejected(0) + 2 * dpo.d_rejected(0)));
  CHECK(read({"dpo.loss=kto"}).make().needs_kl_baseline);
  CHECK_FALSE(read({"dpo.loss=kto"}).make().needs_pairs);
  CHECK_FALSE(read({"dpo.loss=orpo"}).make().needs_reference);
}

TEST_CASE("preference_loss_options: what has no effect or contradicts is refused") {
  CHECK_THROWS_WITH(read({"dpo.loss=ppo"}), ContainsSubstring("dpo.loss = [ 'ppo' ] is not allowed"));
  CHECK_THROWS_AS(read({"dpo.loss=[]"}), config_error);
  CHECK_THROWS_AS(read({"dpo.loss=sft"}), config_error);
  CHECK_THROWS_WITH(read({"dpo.kto.beta=0.3"}), ContainsSubstring("dpo.kto.beta") && ContainsSubstring("names kto"));
  CHECK_NOTHROW(read({"dpo.kto.beta=0.1"}));  // its default
  CHECK_THROWS_WITH(read({"dpo.loss=cpo", "dpo.cpo.label_smoothing=0.2"}),
                    ContainsSubstring("dpo.cpo.label_smoothing"));
  CHECK_NOTHROW(read({"dpo.loss=cpo", "dpo.cpo.label_smoothing=0.2", "dpo.cpo.form=robust"}));
}
