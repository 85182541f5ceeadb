#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <coho/loss/gspo.hpp>
#include <coho/loss/huber_value.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/ppo.hpp>
#include <coho/train/steps/policy_components.hpp>

#include "support/catch.hpp"
#include "support/own_components.hpp"
#include "support/small_world.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;
using coho::test::largest_difference, coho::test::small_world, coho::test::trainer_of, coho::test::unclipped_loss;

namespace {

/// Doubles its coefficient after each step.
struct doubling_controller {
  double now = 0.1;
  double coefficient() const { return now; }
  void update(double, double) { now *= 2; }
  kl_controller_state save() const { return {now}; }
  void restore(const kl_controller_state& saved) { now = saved.coefficient; }
};

template <class Components>
Eigen::MatrixXd gradient_of(ppo_options options, Components components) {
  small_world world;
  options.epochs = 1;
  trainer_of(world, options, components).step(small_world::prompts(24));
  return world.policy.gradient;
}

}  // namespace

TEST_CASE("a caller's own policy loss takes the place of the clipped one") {
  const auto options = small_world::options();
  const auto usual = gradient_of(options, ppo_components{}),
             own = gradient_of(options, ppo_components{unclipped_loss{}});
  CHECK(usual.cwiseAbs().maxCoeff() > 1e-3);
  CHECK(largest_difference(usual, own) < 1e-12);  // ratios are 1 in the first minibatch
}

TEST_CASE("a loss over sequences is given their offsets") {
  auto options = small_world::options();
  options.policy_clip = {.clip_low = 0.1, .clip_high = 0.1};
  options.generation.max_new_tokens = 1;  // then a sequence's ratio is its token's
  auto unclipped = options;               // of the driver's own loss
  unclipped.policy_clip = {};
  const ppo_components sequences{gspo_loss{{.clip_low = 0.1, .clip_high = 0.1}}};
  CHECK(largest_difference(gradient_of(options, ppo_components{}), gradient_of(unclipped, sequences)) < 1e-12);
}

TEST_CASE("a caller's own advantage estimator takes the place of GAE, and its output is checked") {
  const auto options = small_world::options();
  const auto zero = [](const advantage_inputs<double>& in) {
    return gae_result<Eigen::ArrayXd>{Eigen::ArrayXd::Zero(in.rewards.size()), in.values};
  };
  CHECK(gradient_of(options, ppo_components{from_options{}, from_options{}, zero}).cwiseAbs().maxCoeff() == 0);
  CHECK(largest_difference(gradient_of(options, ppo_components{from_options{}, from_options{}, gae}),
                           gradient_of(options, ppo_components{})) == 0);
  const auto shorter = [](const advantage_inputs<double>& in) {
    return gae_result<Eigen::ArrayXd>{in.rewards.head(1), in.rewards};
  };
  CHECK_THROWS_WITH(gradient_of(options, ppo_components{from_options{}, from_options{}, shorter}),
                    ContainsSubstring("returned 1 advantages for"));
  const auto broken = [](const advantage_inputs<double>& in) {
    return gae_result<Eigen::ArrayXd>{in.rewards, in.rewards / 0.0};
  };
  CHECK_THROWS_WITH(gradient_of(options, ppo_components{from_options{}, from_options{}, broken}),
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
    result of(const Eigen::ArrayXd& x) const { return {value, 0 * x, 0 * x, clip_fraction}; }
    result value_and_grad(const policy_loss_inputs<double>& in) const { return of(in.log_probs); }
    result value_and_grad(const value_loss_inputs<double>& in) const { return of(in.values); }
  };
  const auto options = small_world::options();
  nan_loss loss;
  CHECK(gradient_of(options, ppo_components{loss, loss}).norm() == 0);
  loss.value = std::nan("");
  CHECK_THROWS_WITH(gradient_of(options, ppo_components{loss}),
                    ContainsSubstring("value of the policy loss is not finite"));
  CHECK_THROWS_WITH(gradient_of(options, ppo_components{from_options{}, loss}),
                    ContainsSubstring("value of the value loss is not finite"));
  loss.value = 0;
  loss.clip_fraction = std::nan("");
  CHECK_THROWS_WITH(gradient_of(options, ppo_components{loss}),
                    ContainsSubstring("clip_fraction of the policy loss is not finite"));
}

TEST_CASE("a caller's own KL controller sets the coefficient of each step and is saved") {
  small_world world;
  auto options = small_world::options();
  options.shaping.kl_coefficient = ppo_options{}.shaping.kl_coefficient;
  auto trainer =
      trainer_of(world, options, ppo_components{from_options{}, from_options{}, from_options{}, doubling_controller{}});
  const auto history = trainer.run([](std::uint64_t) { return small_world::prompts(8); }, 3);
  CHECK(history[0].kl_coefficient == 0.1);
  CHECK(history[2].kl_coefficient == 0.4);
  CHECK(trainer.save().kl.coefficient == 0.8);
  auto resumed =
      trainer_of(world, options, ppo_components{from_options{}, from_options{}, from_options{}, doubling_controller{}});
  resumed.restore(trainer.save());
  CHECK(resumed.kl_coefficient() == 0.8);
}

TEST_CASE("options that a given component leaves without effect are refused by name") {
  small_world world;
  const auto usual = [] {
    auto options = small_world::options();
    options.shaping.kl_coefficient = ppo_options{}.shaping.kl_coefficient;
    return options;
  }();
  const auto refuse = [&](auto change, auto components, const char* name) {
    auto options = usual;
    CHECK_NOTHROW(trainer_of(world, options, components));
    change(options);
    CHECK_NOTHROW(trainer_of(world, options, ppo_components{}));
    CHECK_THROWS_WITH(trainer_of(world, options, components), ContainsSubstring(name) && ContainsSubstring("left as"));
    CHECK_THROWS_AS(trainer_of(world, options, components), option_error);
  };
  refuse([](auto& o) { o.policy_clip.dual_clip = 3; }, ppo_components{unclipped_loss{}}, "policy_clip.dual_clip");
  refuse([](auto& o) { o.value_clip.clip = 0.1; }, ppo_components{from_options{}, huber_value_loss{}},
         "value_clip.clip");
  refuse([](auto& o) { o.gae.lambda = 0.9; }, ppo_components{from_options{}, from_options{}, gae}, "gae.lambda");
  const ppo_components controlled{from_options{}, from_options{}, from_options{}, doubling_controller{}};
  refuse([](auto& o) { o.shaping.kl_coefficient = 0.3; }, controlled, "shaping.kl_coefficient");
  refuse([](auto& o) { o.adaptive_kl = adaptive_kl_options{}; }, controlled, "adaptive_kl");
}

TEST_CASE("a caller's own value loss takes the place of the clipped one") {
  small_world usual, huber;
  auto options = small_world::options();
  options.epochs = 1;
  trainer_of(usual, options, ppo_components{}).step(small_world::prompts(24));
  // All returns are below delta: Huber's loss is the squared one, and in the first minibatch no value has moved.
  trainer_of(huber, options, ppo_components{from_options{}, huber_value_loss{{.delta = 1e6}}})
      .step(small_world::prompts(24));
  CHECK(usual.value.gradient.cwiseAbs().maxCoeff() > 1e-3);
  CHECK((usual.value.gradient - huber.value.gradient).cwiseAbs().maxCoeff() < 1e-12);
}
