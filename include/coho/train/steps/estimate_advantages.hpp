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

  /// `tokens`: the offsets of the responses. Throws argument_error for a response longer than its slot.
  template <class = detail::if_called>
  rollout_layout(const std::vector<std::size_t>& tokens, std::size_t length) : packed_offsets(tokens), offsets(tokens) {
    if (length == 0) return;
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      require_argument(tokens[i + 1] - tokens[i] <= length,
                       "response " + std::to_string(i) + " is longer than max_new_tokens");
      offsets[i + 1] = offsets[i] + length;
    }
  }
  /// One number per position of the slots from one per token; 0 on padding.
  template <class = detail::if_called>
  Eigen::ArrayXd to_slots(const Eigen::ArrayXd& flat) const {
    Eigen::ArrayXd out(static_cast<Eigen::Index>(offsets.back()));
    out.setZero();
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      std::copy(flat.data() + packed_offsets[i], flat.data() + packed_offsets[i + 1], out.data() + offsets[i]);
    }
    return out;
  }
  /// The reverse: one number per token.
  template <class = detail::if_called>
  Eigen::ArrayXd to_packed(const Eigen::ArrayXd& slots) const {
    Eigen::ArrayXd out(static_cast<Eigen::Index>(packed_offsets.back()));
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      std::copy_n(slots.data() + offsets[i], packed_offsets[i + 1] - packed_offsets[i], out.data() + packed_offsets[i]);
    }
    return out;
  }
};

/// Shaped rewards of all positions of a layout: KL penalty, sequence rewards, penalties. Settles `sequence_rewards` and
/// `breakdowns` of the rollouts first (`settle_rewards`). All ranks call together.
template <class Communicator>
Eigen::ArrayXd shape_over_layout(const rollout_layout& layout, const Eigen::ArrayXd& mask, trajectory_batch& rollouts,
                                 const ppo_options& options, double kl_coefficient, Communicator& ranks) {
  shaping_options shaping = options.shaping;
  shaping.kl_coefficient = kl_coefficient;
  const std::vector<std::uint8_t> finished = settle_rewards({.rewards = rollouts.sequence_rewards,
                                                             .breakdowns = rollouts.breakdowns,
                                                             .finished = rollouts.finished,
                                                             .empty = rollouts.empty},
                                                            options.empty_responses, shaping, ranks);
  return shape_rewards({.sequence_rewards = rollouts.sequence_rewards,
                        .log_probs = layout.to_slots(rollouts.old_log_probs),
                        .reference_log_probs = layout.to_slots(rollouts.reference_log_probs),
                        .mask = mask,
                        .offsets = layout.offsets,
                        .finished = finished},
                       shaping, ranks);
}

/// With `sampler_correction`: advantages weighted for the difference between the sampler and the trained policy: for
/// every loss that is linear in the advantage this equals weighting the tokens.
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
    const detail::rollout_layout layout(rollouts.batch.responses.offsets, 0);
    rollouts.rewards = detail::shape_over_layout(layout, Eigen::ArrayXd::Ones(rollouts.old_log_probs.size()), rollouts,
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
    const detail::rollout_layout layout(rollouts.batch.responses.offsets,
                                        options.padded_layout ? options.generation.max_new_tokens : 0);
    const Eigen::ArrayXd mask = layout.to_slots(Eigen::ArrayXd::Ones(rollouts.old_log_probs.size()));
    const Eigen::ArrayXd rewards = detail::shape_over_layout(layout, mask, rollouts, options, kl_coefficient, ranks);
    const auto estimate = estimator(advantage_inputs<double>{
        .rewards = rewards, .values = layout.to_slots(rollouts.values), .offsets = layout.offsets});
    Eigen::ArrayXd advantages = checked_estimate(estimate.advantages, rewards.size(), "advantages");
    const Eigen::ArrayXd returns = checked_estimate(estimate.returns, rewards.size(), "returns");
    if (options.whiten_advantages) advantages = whiten(advantages, mask, options.advantage_whitening, ranks);
    rollouts.rewards = layout.to_packed(rewards);
    rollouts.shaped_reward_sum = rewards.sum();
    rollouts.returns = layout.to_packed(returns);
    rollouts.advantages = layout.to_packed(advantages);
    detail::apply_sampler_correction(rollouts, options);
  }

 private:
  // x itself. Throws argument_error, naming `what`, unless the estimator returned one finite number per position.
  template <class = detail::if_called>
  static Eigen::ArrayXd checked_estimate(const Eigen::ArrayXd& x, Eigen::Index size, const char* what) {
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
