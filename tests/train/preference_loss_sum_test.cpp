#include <limits>

#include <coho/loss/chosen_nll.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/kto.hpp>
#include <coho/loss/orpo.hpp>
#include <coho/loss/simpo.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/direct_preference.hpp>
#include <coho/train/preference_loss_sum.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;
using coho::test::small_world;

namespace {

using examples = std::vector<direct_preference_example>;

examples pairs() {
  return {{.prompt = {small_world::prompt}, .chosen = {1, 2}, .rejected = {2, 0}, .weight = 2},
          {.prompt = {small_world::prompt}, .chosen = {0}, .rejected = {1, 1}},
          {.prompt = {small_world::prompt}, .chosen = {1, 0}, .rejected = {2, 2}, .weight = 0.5}};
}

struct result {
  direct_preference_statistics statistics;
  Eigen::MatrixXd gradient;
};

template <class Loss>
result one_step(const Loss& loss, const examples& data) {
  small_world world;
  rng random(9);
  for (double& z : world.policy.logits.reshaped()) z += 0.3 * random.normal();
  toy::sgd optimizer{world.policy};
  direct_preference_trainer trainer{
      world.policy, world.initial, optimizer, loss, {.micro_batch = {.sequences = 2}, .gradient_norm_clip = 0}};
  const auto statistics = trainer.step(data);
  return {statistics, world.policy.gradient};
}

}  // namespace

TEST_CASE("preference_loss_sum: one loss of weight 1 is that loss") {
  preference_loss_sum sum;
  sum.add(1, dpo_loss{{.beta = 0.4}});
  const auto alone = one_step(dpo_loss{{.beta = 0.4}}, pairs()), wrapped = one_step(sum, pairs());
  CHECK(wrapped.statistics.loss == alone.statistics.loss);
  CHECK(wrapped.statistics.accuracy == alone.statistics.accuracy);
  CHECK(wrapped.gradient == alone.gradient);
}

TEST_CASE("preference_loss_sum: the value and the gradient are the weighted sums of what each loss gives alone") {
  const dpo_loss dpo{{.beta = 0.4}};
  const kto_loss kto{{.beta = 0.7, .undesirable_weight = 1.2}};
  const simpo_loss simpo{};
  preference_loss_sum sum;
  sum.add(0.5, dpo);
  sum.add(2, kto);
  sum.add(0.25, simpo);
  const auto a = one_step(dpo, pairs()), b = one_step(kto, pairs()), c = one_step(simpo, pairs());
  const auto all = one_step(sum, pairs());
  CHECK(all.statistics.loss ==
        Approx(0.5 * a.statistics.loss + 2 * b.statistics.loss + 0.25 * c.statistics.loss).epsilon(1e-12));
  CHECK((all.gradient - (0.5 * a.gradient + 2 * b.gradient + 0.25 * c.gradient)).cwiseAbs().maxCoeff() < 1e-12);
  CHECK(all.statistics.accuracy == Approx(a.statistics.accuracy).epsilon(1e-12));
  CHECK(all.statistics.reward_difference == Approx(a.statistics.reward_difference).epsilon(1e-12));
  CHECK(all.statistics.kl_baseline == b.statistics.kl_baseline);
}

TEST_CASE("preference_loss_sum: fine-tuning on the chosen responses weighs as much next to KTO as next to DPO") {
  preference_loss_sum with_dpo, with_kto;
  with_dpo.add(1, dpo_loss{});
  with_dpo.add(1, chosen_nll_loss{});
  with_kto.add(1, kto_loss{});
  with_kto.add(1, chosen_nll_loss{});
  const double nll = one_step(with_dpo, pairs()).statistics.loss - one_step(dpo_loss{}, pairs()).statistics.loss;
  CHECK(one_step(with_kto, pairs()).statistics.loss - one_step(kto_loss{}, pairs()).statistics.loss ==
        Approx(nll).epsilon(1e-12));
  CHECK(nll > 0.1);
}

TEST_CASE("preference_loss_sum: it needs what its losses need") {
  preference_loss_sum sum;
  const preference_log_probs none;
  CHECK_THROWS_WITH(sum.value_and_grad(none, {}), ContainsSubstring("no loss was added"));
  sum.add(1, orpo_loss{});
  CHECK_FALSE(sum.needs_reference);
  CHECK(sum.needs_pairs);
  CHECK_FALSE(sum.needs_kl_baseline);
  sum.add(1, kto_loss{});
  CHECK(sum.needs_reference);
  CHECK(sum.needs_kl_baseline);

  small_world world;
  toy::sgd optimizer{world.policy};
  CHECK_THROWS_WITH((direct_preference_trainer{world.policy, no_reference, optimizer, sum}),
                    ContainsSubstring("KL baseline"));
  preference_loss_sum single;
  single.add(1, kto_loss{});
  CHECK_FALSE(single.needs_pairs);
  direct_preference_trainer trainer{world.policy, world.initial, optimizer, single};
  CHECK_NOTHROW(trainer.step(examples{{.prompt = {1}, .chosen = {1}, .rejected = {}}}));
  for (const double weight : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()})
    CHECK_THROWS_AS(single.add(weight, dpo_loss{}), argument_error);
}
