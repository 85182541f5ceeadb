// Where each preference loss leads a policy: to the minimum that its formula has, and to a higher true reward.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include <coho/rng.hpp>
#include <coho/toy/adam.hpp>
#include <coho/train/direct_preference.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"

using namespace coho;
using coho::test::small_world;

namespace {

using examples = std::vector<direct_preference_example>;

double share(double x) { return 1 / (1 + std::exp(-x)); }
double logit(double p) { return std::log(p / (1 - p)); }

/// The zero of a falling function.
double zero_of(const std::function<double(double)>& f, double low, double high) {
  for (int i = 0; i < 200; ++i) (f((low + high) / 2) > 0 ? low : high) = (low + high) / 2;
  return low;
}

/// One token of two, 1 or 2, after each of two prompts: to `right` of every four examples 1 is chosen.
examples coin(std::size_t right) {
  examples out;
  for (const token last : {1, 2}) {
    for (std::size_t i = 0; i < 4; ++i) {
      const token chosen = i < right ? 1 : 2;
      out.push_back({.prompt = {1, last}, .chosen = {chosen}, .rejected = {3 - chosen}});
    }
  }
  return out;
}

/// The log-odds of token 1 over token 2 after the prompt (1, `last`), and those of the start. Token 0 is banned, so
/// that one number describes the policy.
struct trained_coin {
  small_world world{1.0, {0}};
  double final_loss = 0;

  template <class Loss>
  trained_coin(const Loss& loss, const examples& data, std::uint64_t steps = 600) {
    toy::adam optimizer{{}, world.policy};
    direct_preference_trainer trainer{
        world.policy,
        world.initial,
        optimizer,
        loss,
        {.learning_rate = {.peak = 0.1, .kind = schedule_kind::linear, .total_steps = steps},
         .batch_size = data.size(),
         .epochs = steps,
         .gradient_norm_clip = 0}};
    trainer.fit(data);
    final_loss = trainer.evaluate(data).loss;
  }
  static double log_odds(const toy::tabular_policy& model, token last) {
    const std::vector<token> prompt{1, last};
    const auto p = model.probabilities(model.contexts().context_after(prompt));
    return std::log(p(1) / p(2));
  }
  double odds(token last) const { return log_odds(world.policy, last); }
  double ratio(token last) const { return odds(last) - log_odds(world.initial, last); }
};

double expected_reward(const toy::tabular_policy& model) {
  double sum = 0;
  for (const auto& [response, p] : small_world::distribution(model)) sum += p * small_world::reward_of(response);
  return sum;
}

/// Pairs of the initial policy's samples; the one of higher reward is chosen, but for `wrong` of the labels.
examples ranked_pairs(std::size_t count, std::uint64_t seed, double wrong = 0) {
  const packed<token> responses = small_world{}.sampled(2 * count, seed);
  rng random(seed, 1);
  examples out;
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<token> a(responses[2 * i].begin(), responses[2 * i].end());
    std::vector<token> b(responses[2 * i + 1].begin(), responses[2 * i + 1].end());
    if (a == b) continue;
    const bool first = small_world::reward_of(a) > small_world::reward_of(b);
    if (random.bernoulli(wrong) == first) std::swap(a, b);
    out.push_back({.prompt = {small_world::prompt}, .chosen = a, .rejected = b});
  }
  return out;
}

struct outcome {
  double accuracy, reward;
};
template <class Loss>
outcome after_training(const Loss& loss, double wrong = 0) {
  small_world world;
  toy::adam optimizer{{}, world.policy};
  direct_preference_trainer trainer{
      world.policy, world.initial, optimizer, loss, {.learning_rate = {.peak = 0.05}, .batch_size = 100, .epochs = 8}};
  trainer.fit(ranked_pairs(1000, 5, wrong));
  return {trainer.evaluate(ranked_pairs(400, 6)).accuracy, expected_reward(world.policy)};
}

}  // namespace

TEST_CASE("IPO stops where the log-ratios differ by 1 / (2 beta), less where labels disagree") {
  const dpo_loss loss{{.beta = 0.25, .form = dpo_form::ipo}};
  const trained_coin certain(loss, coin(4));
  for (const token last : {1, 2}) CHECK(certain.ratio(last) == Approx(2).epsilon(1e-4));
  CHECK(certain.final_loss < 1e-6);
  // A share p of labels for 1: (2p − 1) / (2β).
  const trained_coin noisy(loss, coin(3));
  for (const token last : {1, 2}) CHECK(noisy.ratio(last) == Approx(1).epsilon(1e-4));
}

TEST_CASE("DPO's forms stop where the labels' share says") {
  // σ(β·ratio) is the share of labels for 1; with label smoothing the share under noise, or the share behind the noise.
  const trained_coin plain(dpo_loss{{.beta = 0.5}}, coin(3));
  const trained_coin conservative(dpo_loss{{.beta = 0.5, .form = dpo_form::conservative, .label_smoothing = 0.2}},
                                  coin(3));
  const trained_coin robust(dpo_loss{{.beta = 0.5, .form = dpo_form::robust, .label_smoothing = 0.15}}, coin(3));
  // The hinge is flat above z = 1 for 1's labels, steeper there for the others: its minimum is the kink.
  const trained_coin hinge(dpo_loss{{.beta = 0.5, .form = dpo_form::hinge}}, coin(3));
  for (const token last : {1, 2}) {
    CHECK(0.5 * plain.ratio(last) == Approx(logit(0.75)).epsilon(1e-4));
    CHECK(0.5 * conservative.ratio(last) == Approx(logit(0.75 * 0.8 + 0.25 * 0.2)).epsilon(1e-4));
    CHECK(0.5 * robust.ratio(last) == Approx(logit((0.75 - 0.15) / 0.7)).epsilon(1e-4));
    CHECK(0.5 * hinge.ratio(last) == Approx(1).epsilon(0.01));
  }
}

TEST_CASE("losses without a reference stop at the odds that their formulas say") {
  // d/du of each loss, u the log-odds of 1 over 2; three labels of four are for 1.
  const trained_coin simpo(simpo_loss{{.beta = 2, .gamma = 0.5}}, coin(3));
  const double by_simpo =
      zero_of([](double u) { return 0.75 * share(0.5 - 2 * u) - 0.25 * share(0.5 + 2 * u); }, -5, 5);
  const trained_coin smooth(simpo_loss{{.beta = 2, .gamma = 0.5, .label_smoothing = 0.1}}, coin(4));
  const trained_coin cpo(cpo_loss{{.beta = 0.7, .nll_coefficient = 0.4}}, coin(3));
  const double by_cpo =
      zero_of([](double u) { return 0.7 * (0.75 - share(0.7 * u)) + 0.4 * (0.75 - share(u)); }, -5, 5);
  // The log-odds of 1 are u, those of 2 −u: z = ±2u.
  const trained_coin orpo(orpo_loss{{.lambda = 0.6}}, coin(3));
  const double by_orpo = zero_of([](double u) { return 0.75 - share(u) + 0.6 * 2 * (0.75 - share(2 * u)); }, -5, 5);
  for (const token last : {1, 2}) {
    CHECK(simpo.odds(last) == Approx(by_simpo).epsilon(1e-4));
    CHECK(2 * smooth.odds(last) == Approx(0.5 + logit(0.9)).epsilon(1e-4));
    CHECK(cpo.odds(last) == Approx(by_cpo).epsilon(1e-4));
    CHECK(orpo.odds(last) == Approx(by_orpo).epsilon(1e-4));
  }
}

TEST_CASE("each preference loss raises the true reward of the policy and orders pairs it has not seen") {
  small_world world;
  const double before = expected_reward(world.initial);
  const auto check = [&](const char* name, const outcome& after, double gain, double accuracy) {
    INFO(name);
    CHECK(after.reward >= before + gain);
    CHECK(after.accuracy >= accuracy);
  };
  const auto noisy = [](dpo_form form) { return dpo_loss{{.beta = 0.2, .form = form, .label_smoothing = 0.1}}; };
  check("DPO", after_training(dpo_loss{{.beta = 0.2}}), 0.4, 0.9);
  check("IPO", after_training(dpo_loss{{.beta = 0.2, .form = dpo_form::ipo}}), 0.4, 0.9);
  check("hinge", after_training(dpo_loss{{.beta = 0.2, .form = dpo_form::hinge}}), 0.4, 0.9);
  check("conservative DPO, a tenth of the labels wrong", after_training(noisy(dpo_form::conservative), 0.1), 0.4, 0.9);
  check("robust DPO, a tenth of the labels wrong", after_training(noisy(dpo_form::robust), 0.1), 0.4, 0.9);
  check("KTO", after_training(kto_loss{{.beta = 0.2}}), 0.4, 0.65);  // of single responses, against the baseline
  check("ORPO", after_training(orpo_loss{{.lambda = 1}}), 0.3, 0.85);
  check("SimPO", after_training(simpo_loss{}), 0.4, 0.9);
  check("CPO", after_training(cpo_loss{{.beta = 0.5, .nll_coefficient = 0.1}}), 0.4, 0.85);
}
