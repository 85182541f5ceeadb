#include <cmath>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <vector>

#include <coho/loss/gspo.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/ppo.hpp>
#include <coho/train/steps/collect_rollouts.hpp>
#include <coho/train/steps/estimate_advantages.hpp>
#include <coho/train/steps/loops.hpp>
#include <coho/train/steps/minibatch_update.hpp>
#include <coho/train/steps/policy_update.hpp>

#include "support/catch.hpp"
#include "support/own_components.hpp"
#include "support/small_world.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;
using coho::test::keep_rollouts, coho::test::largest_difference, coho::test::small_world, coho::test::trainer_of,
    coho::test::unclipped_loss;

namespace {

/// What a step's minibatches said, and what it should be: log-probs of the rollouts as the policy is after each step.
struct minibatch_log {
  const toy::tabular_policy& policy;
  trajectory_batch rollouts{};
  std::vector<minibatch_statistics> seen{};
  std::vector<Eigen::ArrayXd> log_ratios{};  // when each minibatch was evaluated

  void on_rollouts(const trajectory_batch& r) {
    rollouts = r;
    log_ratios.push_back(now());
  }
  void on_minibatch(const minibatch_statistics& m) {
    seen.push_back(m);
    log_ratios.push_back(now());
  }
  Eigen::ArrayXd now() const {
    const auto log_probs = policy.log_probs(rollouts.batch);
    return Eigen::Map<const Eigen::ArrayXd>(log_probs.data(), static_cast<Eigen::Index>(log_probs.size())) -
           rollouts.old_log_probs;
  }
};

/// Three passes over all rollouts, cut into forwards of five responses: of different numbers of tokens.
template <class Components>
minibatch_log large_steps(small_world& world, Components components, ppo_statistics& statistics) {
  auto options = small_world::options();
  options.epochs = 3;
  options.minibatch_size = 0;
  options.learning_rate.peak = 0.3;
  options.micro_batch.sequences = 5;
  if constexpr (std::is_same_v<decltype(components.policy_loss), from_options>)
    options.policy_clip = {.clip_low = 0.3, .clip_high = 0.15};
  minibatch_log log{world.policy};
  statistics = trainer_of(world, options, components).step(small_world::prompts(23), log);
  return log;
}

/// A world with a plain optimizer, so that one step of the update is the gradient times the learning rate.
struct updated_world : small_world {
  toy::sgd<toy::tabular_policy, toy::tabular_value> plain{policy, value};
  ppo_options options = small_world::options();
  Eigen::MatrixXd before = policy.logits;

  updated_world() {
    options.epochs = 1;
    options.whiten_advantages = false;
  }
  auto models() { return ppo_models{policy, initial, value, small_world::reward, plain}; }
  trajectory_batch rollouts(std::size_t count) {
    ppo_statistics statistics;
    auto out = collect_rollouts(models(), small_world::prompts(count), options, 0, statistics);
    estimate_advantages(out, options, 0.0, local);
    return out;
  }
  ppo_statistics update(const trajectory_batch& rollouts, const std::vector<std::size_t>& chosen,
                        std::uint64_t step = 0) {
    detail::policy_update run(models(), options, ppo_clip_loss(options.policy_clip), value_clip_loss());
    ppo_statistics out{.learning_rate = 0.5};
    run(rollouts, chosen, step, out);
    return out;
  }
};

}  // namespace

TEST_CASE("an update with nothing chosen changes nothing") {
  updated_world world;
  const auto rollouts = world.rollouts(6);
  const auto statistics = world.update(rollouts, {});
  CHECK(statistics.optimizer_steps == 0);
  CHECK(statistics.policy_loss == 0);
  CHECK(statistics.phase_tokens.update == 0);
  CHECK(largest_difference(world.policy.logits, world.before) == 0);
}

TEST_CASE("an update learns from the chosen rollouts alone, each once an epoch") {
  updated_world all, some, part;
  const auto rollouts = all.rollouts(12);
  // The same rollouts without those that are not chosen; the others' advantages are spoiled.
  const std::vector<std::size_t> chosen{1, 2, 5, 8, 11};
  auto spoiled = rollouts;
  std::size_t tokens = 0;
  for (std::size_t i = 0, k = 0; i < rollouts.size(); ++i) {
    const bool is_chosen = k < chosen.size() && chosen[k] == i;
    k += is_chosen;
    for (std::size_t t = rollouts.batch.responses.offsets[i]; t < rollouts.batch.responses.offsets[i + 1]; ++t) {
      if (!is_chosen) spoiled.advantages(static_cast<Eigen::Index>(t)) = std::nan("");
      tokens += is_chosen;
    }
  }
  some.options.epochs = part.options.epochs = 3;
  some.options.minibatch_size = part.options.minibatch_size = 2;
  const auto statistics = some.update(spoiled, chosen);
  CHECK(statistics.optimizer_steps == 9);
  CHECK(statistics.phase_tokens.update == 3.0 * static_cast<double>(tokens + chosen.size()));  // prompts of one token
  part.update(rollouts, chosen);
  CHECK(largest_difference(some.policy.logits, part.policy.logits) == 0);
  all.update(rollouts, detail::all_indices(rollouts.size()));
  CHECK(largest_difference(some.policy.logits, some.before) > 1e-3);
  CHECK(largest_difference(some.policy.logits, all.policy.logits) > 1e-3);
}

TEST_CASE("one update by hand: minus the learning rate times the mean of -A d(log prob) over tokens") {
  updated_world world;
  const auto rollouts = world.rollouts(10);
  const Eigen::ArrayXd seed = -rollouts.advantages / static_cast<double>(rollouts.tokens());
  toy::tabular_policy policy = world.policy;
  policy.zero_gradients();
  policy.forward(rollouts.batch).second({.log_probs = {seed.data(), rollouts.tokens()}});
  const Eigen::ArrayXd residual = rollouts.values - rollouts.returns;
  toy::tabular_value value = world.value;
  const Eigen::ArrayXd d_values = world.options.value_coefficient * residual / static_cast<double>(rollouts.tokens());
  value.zero_gradients();
  value.forward(rollouts.batch).second({.values = {d_values.data(), rollouts.tokens()}});
  const Eigen::MatrixXd table = world.value.table;

  const auto statistics = world.update(rollouts, detail::all_indices(rollouts.size()));
  CHECK(policy.gradient.cwiseAbs().maxCoeff() > 1e-3);
  CHECK(value.gradient.cwiseAbs().maxCoeff() > 1e-3);
  CHECK(largest_difference(world.policy.logits, world.before - 0.5 * policy.gradient) < 1e-12);
  CHECK(largest_difference(world.value.table, table - 0.5 * value.gradient) < 1e-12);
  CHECK(statistics.policy_loss == Approx(-rollouts.advantages.mean()).epsilon(1e-12));
  CHECK(statistics.value_loss == Approx(0.5 * residual.square().mean()).epsilon(1e-12));
  CHECK(statistics.gradient_norm == Approx(std::hypot(policy.gradient.norm(), value.gradient.norm())).epsilon(1e-12));
  CHECK(statistics.first_ratio_deviation < 1e-12);
}

TEST_CASE("the fixed length of the reduction is the limit of new tokens unless it is given") {
  const auto gradient = [](double fixed_length) {
    updated_world world;
    world.options.reduction = {.kind = reduction::fixed_length, .fixed_length = fixed_length};
    const auto rollouts = world.rollouts(10);
    world.update(rollouts, detail::all_indices(rollouts.size()));
    return world.policy.gradient;
  };
  const Eigen::MatrixXd limit = gradient(0);
  CHECK(limit.cwiseAbs().maxCoeff() > 1e-3);
  CHECK(largest_difference(limit, gradient(small_world::limit)) == 0);
  CHECK(largest_difference(limit, 4 * gradient(4 * small_world::limit)) < 1e-12);
}

TEST_CASE("options that an update cannot honour are refused by name") {
  updated_world world;
  const auto construct = [&](auto models) {
    detail::policy_update update(models, world.options, ppo_clip_loss(), value_clip_loss());
  };
  CHECK_NOTHROW(construct(world.models()));
  world.options.value_warmup_steps = 1;
  CHECK_THROWS_WITH(construct(world.models()), ContainsSubstring("value_warmup_steps = 1"));
  CHECK_THROWS_AS(construct(world.models()), option_error);
  toy::sgd value_optimizer{world.value};
  CHECK_NOTHROW(construct(
      ppo_models{world.policy, world.initial, world.value, small_world::reward, world.plain, value_optimizer}));
}

TEST_CASE("the KL penalty of the loss adds its gradient") {
  auto options = small_world::options();
  options.shaping.kl_coefficient = 0;
  options.whiten_advantages = false;
  options.epochs = 1;
  const auto run = [&](double coefficient) {
    small_world world;
    world.policy.logits.array() += 0.2 * world.policy.logits.array().sin();
    auto o = options;
    o.kl_loss_coefficient = coefficient;
    if (coefficient > 0) o.kl_loss.estimator = kl_estimator::k2;
    keep_rollouts keep;
    const auto statistics = world.trainer(o).step(small_world::prompts(24), keep);
    return std::tuple{world.policy.gradient, statistics, keep.seen};
  };
  const auto [plain, plain_statistics, rollouts] = run(0);
  const auto [penalised, statistics, same_rollouts] = run(0.7);
  CHECK(plain_statistics.kl_loss == 0);
  const Eigen::ArrayXd d = rollouts.old_log_probs - rollouts.reference_log_probs;
  CHECK(statistics.kl_loss == Approx(0.5 * d.square().mean()));
  // The expected difference, through the policy itself.
  small_world world;
  world.policy.logits.array() += 0.2 * world.policy.logits.array().sin();
  auto [output, pullback] = world.policy.forward(rollouts.batch);
  const Eigen::ArrayXd seed = 0.7 * d / static_cast<double>(d.size());
  pullback(policy_gradient{.log_probs = {seed.data(), static_cast<std::size_t>(seed.size())}});
  CHECK(world.policy.gradient.cwiseAbs().maxCoeff() > 1e-3);
  CHECK(largest_difference(penalised - plain, world.policy.gradient) < 1e-12);
}

TEST_CASE("the approximate KL of minibatches and steps is the mean of rho - 1 - log rho over tokens") {
  const auto check = [](auto components) {
    small_world world;
    ppo_statistics statistics;
    const auto log = large_steps(world, components, statistics);
    REQUIRE(log.seen.size() == 3);
    double sum = 0, inverted = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      const Eigen::ArrayXd& l = log.log_ratios[k];
      const double expected = (l.exp() - 1 - l).mean();
      CHECK(log.seen[k].approximate_kl == Approx(expected).epsilon(1e-9).margin(1e-12));
      CHECK(log.seen[k].ratio_deviation == Approx((l.exp() - 1).abs().maxCoeff()).epsilon(1e-9).margin(1e-12));
      sum += expected;
      inverted += ((-l).exp() - 1 + l).mean();
    }
    CHECK(statistics.approximate_kl == Approx(sum / 3).epsilon(1e-9));
    CHECK(sum > 0.03);
    CHECK(std::abs(inverted - sum) > 0.1 * sum);  // else the direction would not show
  };
  check(ppo_components{});
  check(ppo_components{unclipped_loss{}});
  check(ppo_components{gspo_loss{}});
}

TEST_CASE("the clip fraction of minibatches and steps is the share of tokens whose gradient the clip removes") {
  small_world world;
  ppo_statistics statistics;
  const auto log = large_steps(world, ppo_components{}, statistics);
  REQUIRE(log.seen.size() == 3);
  double sum = 0;
  for (std::size_t k = 0; k < 3; ++k) {
    const Eigen::ArrayXd ratio = log.log_ratios[k].exp();
    double clipped = 0;
    for (Eigen::Index t = 0; t < ratio.size(); ++t) {
      const double a = log.rollouts.advantages(t);
      clipped += (a > 0 && ratio(t) > 1.15) || (a < 0 && ratio(t) < 0.7) ? 1 : 0;
    }
    CHECK(log.seen[k].clip_fraction == Approx(clipped / static_cast<double>(ratio.size())).margin(1e-12));
    CHECK(log.seen[k].tokens == static_cast<double>(ratio.size()));
    sum += clipped / static_cast<double>(ratio.size());
  }
  CHECK(log.seen[0].clip_fraction == 0);
  CHECK(sum > 0.1);
  CHECK(statistics.clip_fraction == Approx(sum / 3).epsilon(1e-12));

  // A loss that says nothing of clipping counts as one that does not clip.
  small_world other;
  const auto unclipped = large_steps(other, ppo_components{unclipped_loss{}}, statistics);
  for (const auto& m : unclipped.seen) CHECK(m.clip_fraction == 0);
  CHECK(statistics.clip_fraction == 0);
}

TEST_CASE("statistics of a step weigh its minibatches by their tokens") {
  small_world world;
  auto options = small_world::options();
  options.learning_rate.peak = 0.3;
  options.minibatch_size = 5;
  options.epochs = 2;
  options.policy_clip = {.clip_low = 0.1, .clip_high = 0.1};
  minibatch_log log{world.policy};
  const auto statistics = trainer_of(world, options, ppo_components{}).step(small_world::prompts(13), log);
  double tokens = 0, kl = 0, clipped = 0, plain = 0;
  for (const auto& m : log.seen) {
    tokens += m.tokens;
    kl += m.approximate_kl * m.tokens;
    clipped += m.clip_fraction * m.tokens;
    plain += m.approximate_kl / static_cast<double>(log.seen.size());
  }
  REQUIRE(log.seen.size() == 6);
  CHECK(statistics.approximate_kl == Approx(kl / tokens).epsilon(1e-12));
  CHECK(statistics.clip_fraction == Approx(clipped / tokens).epsilon(1e-12));
  CHECK(clipped > 0);
  CHECK(std::abs(plain - kl / tokens) > 1e-4);
}

TEST_CASE("a clip fraction of an own value loss that is not finite is refused") {
  struct broken_fraction {
    struct result {
      double value;
      Eigen::ArrayXd d_values;
      double clip_fraction;
    };
    result value_and_grad(const value_loss_inputs<double>& in) const { return {0, 0 * in.values, std::nan("")}; }
  };
  small_world world;
  ppo_trainer trainer{ppo_models{world.policy, world.initial, world.value, small_world::reward, world.optimizer},
                      small_world::options(), ppo_components{from_options{}, broken_fraction{}}};
  CHECK_THROWS_WITH(trainer.step(small_world::prompts(4)), ContainsSubstring("clip_fraction of the value loss"));
}
