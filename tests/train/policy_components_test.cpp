#include <coho/train/policy_components.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <tuple>
#include <vector>

#include <coho/loss/gspo.hpp>
#include <coho/loss/huber_value.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/policy_update.hpp>
#include <coho/train/ppo.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;
using coho::test::small_world;

namespace {

/// −Σ w·A·ρ: what PPO minimises where nothing is clipped.
struct unclipped_loss {
  struct result {
    double value;
    std::vector<double> d_log_probs;
  };
  result value_and_grad(const Eigen::ArrayXd& log_probs, const Eigen::ArrayXd& old_log_probs,
                        const Eigen::ArrayXd& advantages, const token_weights<Eigen::ArrayXd>& weights) const {
    const Eigen::ArrayXd terms = -weights.values * advantages * (log_probs - old_log_probs).exp();
    return {terms.sum(), {terms.begin(), terms.end()}};
  }
};

/// Doubles its coefficient after each step.
struct doubling_controller {
  double now = 0.1;
  double coefficient() const { return now; }
  void update(double, double) { now *= 2; }
  kl_controller_state save() const { return {now}; }
  void restore(const kl_controller_state& saved) { now = saved.coefficient; }
};

template <class Components>
auto trainer_of(small_world& world, const ppo_options& options, Components components) {
  return ppo_trainer{ppo_models{.policy = world.policy,
                                .reference = world.initial,
                                .value = world.value,
                                .reward = small_world::reward,
                                .optimizer = world.optimizer},
                     options, components};
}

template <class Components>
Eigen::MatrixXd gradient_of(ppo_options options, Components components) {
  small_world world;
  options.epochs = 1;
  trainer_of(world, options, components).step(small_world::prompts(24));
  return world.policy.gradient;
}

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
  options.policy_clip = {.clip_low = 0.3, .clip_high = 0.15};
  minibatch_log log{world.policy};
  statistics = trainer_of(world, options, components).step(small_world::prompts(23), log);
  return log;
}

double largest_difference(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) { return (a - b).cwiseAbs().maxCoeff(); }

}  // namespace

TEST_CASE("a caller's own policy loss takes the place of the clipped one") {
  const auto options = small_world::options();
  const auto usual = gradient_of(options, ppo_components{}),
             own = gradient_of(options, ppo_components{.policy_loss = unclipped_loss{}});
  CHECK(usual.cwiseAbs().maxCoeff() > 1e-3);
  CHECK(largest_difference(usual, own) < 1e-12);  // ratios are 1 in the first minibatch
}

TEST_CASE("a loss over sequences is given their offsets") {
  auto options = small_world::options();
  options.policy_clip = {.clip_low = 0.1, .clip_high = 0.1};
  options.generation.max_new_tokens = 1;  // then a sequence's ratio is its token's
  const ppo_components sequences{.policy_loss = gspo_loss{{.clip_low = 0.1, .clip_high = 0.1}}};
  CHECK(largest_difference(gradient_of(options, ppo_components{}), gradient_of(options, sequences)) < 1e-12);
}

TEST_CASE("a caller's own advantage estimator takes the place of GAE, and its output is checked") {
  const auto options = small_world::options();
  const auto zero = [](const Eigen::ArrayXd& rewards, const Eigen::ArrayXd& values, std::span<const std::size_t>) {
    return gae_result<Eigen::ArrayXd>{Eigen::ArrayXd::Zero(rewards.size()), values};
  };
  CHECK(gradient_of(options, ppo_components{.advantage = zero}).cwiseAbs().maxCoeff() == 0);
  CHECK(largest_difference(gradient_of(options, ppo_components{.advantage = gae}),
                           gradient_of(options, ppo_components{})) == 0);
  const auto shorter = [](const Eigen::ArrayXd& rewards, const Eigen::ArrayXd&, std::span<const std::size_t>) {
    return gae_result<Eigen::ArrayXd>{rewards.head(1), rewards};
  };
  CHECK_THROWS_WITH(gradient_of(options, ppo_components{.advantage = shorter}),
                    ContainsSubstring("returned 1 advantages for"));
  const auto broken = [](const Eigen::ArrayXd& rewards, const Eigen::ArrayXd&, std::span<const std::size_t>) {
    return gae_result<Eigen::ArrayXd>{rewards, rewards / 0.0};
  };
  CHECK_THROWS_WITH(gradient_of(options, ppo_components{.advantage = broken}),
                    ContainsSubstring("returns that are not finite"));
}

TEST_CASE("an own loss whose value or clip fraction is not finite is refused") {
  struct nan_loss {
    double value = 0, clip_fraction = 0;
    struct result {
      double value;
      Eigen::ArrayXd d_log_probs, d_values;
      double clip_fraction;
    };
    result value_and_grad(const Eigen::ArrayXd& x, const Eigen::ArrayXd&, const Eigen::ArrayXd&,
                          const token_weights<Eigen::ArrayXd>&) const {
      return {value, 0 * x, 0 * x, clip_fraction};
    }
  };
  const auto options = small_world::options();
  nan_loss loss;
  CHECK(gradient_of(options, ppo_components{.policy_loss = loss, .value_loss = loss}).norm() == 0);
  loss.value = std::nan("");
  CHECK_THROWS_WITH(gradient_of(options, ppo_components{.policy_loss = loss}),
                    ContainsSubstring("value of the policy loss is not finite"));
  CHECK_THROWS_WITH(gradient_of(options, ppo_components{.value_loss = loss}),
                    ContainsSubstring("value of the value loss is not finite"));
  loss.value = 0;
  loss.clip_fraction = std::nan("");
  CHECK_THROWS_WITH(gradient_of(options, ppo_components{.policy_loss = loss}),
                    ContainsSubstring("clip_fraction of the policy loss is not finite"));
}

TEST_CASE("a caller's own KL controller sets the coefficient of each step and is saved") {
  small_world world;
  auto trainer = trainer_of(world, small_world::options(), ppo_components{.kl_controller = doubling_controller{}});
  const auto history = trainer.run([](std::uint64_t) { return small_world::prompts(8); }, 3);
  CHECK(history[0].kl_coefficient == 0.1);
  CHECK(history[2].kl_coefficient == 0.4);
  CHECK(trainer.save().kl.coefficient == 0.8);
  auto resumed = trainer_of(world, small_world::options(), ppo_components{.kl_controller = doubling_controller{}});
  resumed.restore(trainer.save());
  CHECK(resumed.kl_coefficient() == 0.8);
}

TEST_CASE("a caller's own value loss takes the place of the clipped one") {
  small_world usual, huber;
  auto options = small_world::options();
  options.epochs = 1;
  trainer_of(usual, options, ppo_components{}).step(small_world::prompts(24));
  // All returns are below delta: Huber's loss is the squared one, and in the first minibatch no value has moved.
  trainer_of(huber, options, ppo_components{.value_loss = huber_value_loss{{.delta = 1e6}}})
      .step(small_world::prompts(24));
  CHECK(usual.value.gradient.cwiseAbs().maxCoeff() > 1e-3);
  CHECK((usual.value.gradient - huber.value.gradient).cwiseAbs().maxCoeff() < 1e-12);
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
    o.kl_loss.estimator = kl_estimator::k2;
    struct keep_rollouts {
      trajectory_batch seen{};
      void on_rollouts(const trajectory_batch& rollouts) { seen = rollouts; }
    } keep;
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
  check(ppo_components{.policy_loss = unclipped_loss{}});
  check(ppo_components{.policy_loss = gspo_loss{}});
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
  const auto unclipped = large_steps(other, ppo_components{.policy_loss = unclipped_loss{}}, statistics);
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
