#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <Eigen/Core>

#include <coho/advantage/whiten.hpp>
#include <coho/concepts.hpp>
#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/reward/composition.hpp>
#include <coho/reward/shaping.hpp>
#include <coho/rollout/importance_weights.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/ppo_options.hpp>
#include <coho/train/steps/policy_components.hpp>

namespace coho::inline v0_1 {

namespace detail {

/// Where flat response tokens go: unchanged (length 0), or to the fronts of fixed-length slots.
struct rollout_layout {
  std::vector<std::size_t> packed_offsets, offsets;

  template <class = detail::if_called>
  rollout_layout(const std::vector<std::size_t>& tokens, std::size_t length) : packed_offsets(tokens), offsets(tokens) {
    if (length == 0) return;
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      require_argument(tokens[i + 1] - tokens[i] <= length,
                       "response " + std::to_string(i) + " is longer than max_new_tokens");
      offsets[i + 1] = offsets[i] + length;
    }
  }
  template <class = detail::if_called>
  Eigen::ArrayXd spread(const Eigen::ArrayXd& flat) const {
    Eigen::ArrayXd out(static_cast<Eigen::Index>(offsets.back()));
    out.setZero();
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      std::copy(flat.data() + packed_offsets[i], flat.data() + packed_offsets[i + 1], out.data() + offsets[i]);
    }
    return out;
  }
  template <class = detail::if_called>
  Eigen::ArrayXd collect(const Eigen::ArrayXd& slots) const {
    Eigen::ArrayXd out(static_cast<Eigen::Index>(packed_offsets.back()));
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      std::copy_n(slots.data() + offsets[i], packed_offsets[i + 1] - packed_offsets[i], out.data() + packed_offsets[i]);
    }
    return out;
  }
};

/// Token rewards over a layout: KL penalty, sequence rewards (settled, as are the breakdowns), penalties.
template <class Communicator>
Eigen::ArrayXd shape_over_layout(const rollout_layout& place, const Eigen::ArrayXd& mask, trajectory_batch& rollouts,
                                 const ppo_options& options, double kl_coefficient, Communicator& ranks) {
  shaping_options shaping = options.shaping;
  shaping.kl_coefficient = kl_coefficient;
  const std::vector<std::uint8_t> finished = settle_rewards({.rewards = rollouts.sequence_rewards,
                                                             .breakdowns = rollouts.breakdowns,
                                                             .finished = rollouts.finished,
                                                             .empty = rollouts.empty},
                                                            options.empty_responses, shaping, ranks);
  return shape_rewards({.sequence_rewards = rollouts.sequence_rewards,
                        .log_probs = place.spread(rollouts.old_log_probs),
                        .reference_log_probs = place.spread(rollouts.reference_log_probs),
                        .mask = mask,
                        .offsets = place.offsets,
                        .finished = finished},
                       shaping, ranks);
}

/// Advantages weighted for the difference between the sampler and the trained policy: for every loss that is
/// linear in the advantage this equals weighting the tokens.
template <std::same_as<trajectory_batch> Rollouts>
void apply_sampler_correction(Rollouts& rollouts, const ppo_options& options) {
  if (!options.sampler_correction) return;
  rollouts.advantages *= importance_weights(rollouts.old_log_probs, rollouts.recorded_log_probs,
                                            rollouts.batch.responses.offsets, *options.sampler_correction)
                             .weights;
}

}  // namespace detail

/// Fills in the shaped token rewards of rollouts, and their sum. All ranks call together.
struct shape_rollout_rewards_fn {
  template <communicator Communicator>
  void operator()(trajectory_batch& rollouts, const ppo_options& options, double kl_coefficient,
                  Communicator& ranks) const {
    const detail::rollout_layout place(rollouts.batch.responses.offsets, 0);
    rollouts.rewards = detail::shape_over_layout(place, Eigen::ArrayXd::Ones(rollouts.old_log_probs.size()), rollouts,
                                                 options, kl_coefficient, ranks);
    rollouts.shaped_reward_sum = rollouts.rewards.sum();
  }
};
inline constexpr shape_rollout_rewards_fn shape_rollout_rewards{};

/// The second half: token rewards, advantages by the given estimator (default: GAE with the options), and returns. All
/// ranks call together.
struct estimate_advantages_fn {
  template <communicator Communicator>
  void operator()(trajectory_batch& rollouts, const ppo_options& options, double kl_coefficient,
                  Communicator& ranks) const {
    (*this)(rollouts, options, kl_coefficient, ranks, detail::bound_gae{options.gae});
  }
  template <communicator Communicator, advantage_estimator Estimator>
  void operator()(trajectory_batch& rollouts, const ppo_options& options, double kl_coefficient, Communicator& ranks,
                  const Estimator& estimator) const {
    const detail::rollout_layout place(rollouts.batch.responses.offsets,
                                       options.padded_layout ? options.generation.max_new_tokens : 0);
    const Eigen::ArrayXd mask = place.spread(Eigen::ArrayXd::Ones(rollouts.old_log_probs.size()));
    const Eigen::ArrayXd rewards = detail::shape_over_layout(place, mask, rollouts, options, kl_coefficient, ranks);
    const auto estimate = estimator(advantage_inputs<double>{
        .rewards = rewards, .values = place.spread(rollouts.values), .offsets = place.offsets});
    Eigen::ArrayXd advantages = checked(estimate.advantages, rewards.size(), "advantages");
    const Eigen::ArrayXd returns = checked(estimate.returns, rewards.size(), "returns");
    if (options.whiten_advantages) advantages = whiten(advantages, mask, options.advantage_whitening, ranks);
    rollouts.rewards = place.collect(rewards);
    rollouts.shaped_reward_sum = rewards.sum();
    rollouts.returns = place.collect(returns);
    rollouts.advantages = place.collect(advantages);
    detail::apply_sampler_correction(rollouts, options);
  }

 private:
  template <class = detail::if_called>
  static Eigen::ArrayXd checked(const Eigen::ArrayXd& x, Eigen::Index size, const char* what) {
    require_argument(x.size() == size, std::string("the advantage estimator returned ") + std::to_string(x.size()) +
                                           " " + what + " for " + std::to_string(size) + " tokens");
    for (const double number : x) {
      require_argument(std::isfinite(number),
                       std::string("the advantage estimator returned ") + what + " that are not finite");
    }
    return x;
  }
};
inline constexpr estimate_advantages_fn estimate_advantages{};

}  // namespace coho::inline v0_1
