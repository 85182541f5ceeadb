#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include <Eigen/Core>

#include <coho/advantage/group_relative.hpp>
#include <coho/advantage/leave_one_out.hpp>
#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/options.hpp>
#include <coho/reward/empty_response.hpp>
#include <coho/reward/normalization.hpp>
#include <coho/train/options/policy_training_options.hpp>
#include <coho/train/options/ppo_options.hpp>

namespace coho::inline v0_1 {

// GCC 12 warns that this scoped enumerator hides `coho::leave_one_out`. It does not.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
/// The baseline that a response's reward is compared with.
enum class group_baseline {
  mean,           ///< the group's mean: `group_relative` with `scaling` (GRPO, Dr. GRPO)
  leave_one_out,  ///< the mean of the others: `coho::leave_one_out` with `leave_one_out` (RLOO), unbiased without its
                  ///< scale
};
#pragma GCC diagnostic pop
constexpr auto option_names(group_baseline) { return std::array{"mean", "leave_one_out"}; }

/// Members shared with ppo_options mean the same.
struct group_relative_trainer_options {
  std::uint64_t seed = 0;
  std::size_t group_size = 8;  ///< G: samples of each prompt; ≥ 2
  generation_options generation{};
  old_log_prob_source old_log_probs = old_log_prob_source::recomputed;
  std::optional<importance_weights_options> sampler_correction{};

  normalize_options normalization{};
  empty_response_rule empty_responses = empty_response_rule::lowest;
  shaping_options shaping{.kl_coefficient = 0};      ///< β > 0: the KL penalty as a part of the reward
  std::optional<adaptive_kl_options> adaptive_kl{};  ///< of that β
  group_baseline baseline = group_baseline::mean;
  group_relative_options scaling{};       ///< of the baseline mean
  leave_one_out_options leave_one_out{};  ///< of the baseline leave_one_out
  bool skip_uniform_groups = false;       ///< drop groups of equal rewards from the update (DAPO)
  bool whiten_advantages = false;  ///< over all real tokens of the step, after the baseline (REINFORCE++ with baseline)
  whiten_options advantage_whitening{};

  std::size_t minibatch_size = 0;  ///< responses per optimizer step, over all ranks; 0: the whole step's
  minibatch_scope scope = minibatch_scope::global;
  std::uint64_t epochs = 1;
  ppo_clip_options policy_clip{};
  double kl_loss_coefficient = 0;  ///< the KL penalty as a term of the loss
  kl_loss_options kl_loss{.estimator = kl_estimator::k3};
  double entropy_coefficient = 0;
  reduction_options reduction{.kind = reduction::sequence_mean_of_means};
  double gradient_norm_clip = 1;
  learning_rate_options learning_rate{.peak = 1e-6};
  double target_kl = 0;

  batch_limits scoring_batch{};
  batch_limits micro_batch{};

  /// Shao et al. 2024, §4.1: advantages divided by the group's deviation, mean over each response, KL (k3, 0.04) in the
  /// loss, 64 samples.
  template <class = detail::if_called>
  static group_relative_trainer_options grpo() {
    return {.group_size = 64, .kl_loss_coefficient = 0.04};
  }
  /// Liu et al. 2025: no division by the deviation and none by the length, no KL.
  template <class = detail::if_called>
  static group_relative_trainer_options dr_grpo() {
    return {.scaling = {.scale = group_scale::none}, .reduction = {.kind = reduction::fixed_length}};
  }
  /// Ahmadian et al. 2024: leave-one-out baseline, the KL in the reward, one update per batch, sums over responses.
  template <class = detail::if_called>
  static group_relative_trainer_options rloo() {
    return {.group_size = 4,
            .shaping = {.kl_coefficient = 0.03},
            .baseline = group_baseline::leave_one_out,
            .reduction = {.kind = reduction::sequence_mean_of_sums}};
  }
  /// Yu et al. 2025: clip-higher, mean over tokens, no KL, groups of equal rewards dropped. Its overlong ramp is a
  /// bonus: `overlong_penalty`.
  template <class = detail::if_called>
  static group_relative_trainer_options dapo() {
    return {.group_size = 16,
            .skip_uniform_groups = true,
            .policy_clip = {.clip_low = 0.2, .clip_high = 0.28},
            .reduction = {.kind = reduction::token_mean}};
  }

  /// The options that PPO has too, as those of a `ppo_trainer`; its other options have their defaults.
  template <class = detail::if_called>
  ppo_options as_ppo_options() const {
    ppo_options o;
    const auto copy = []<class T>(const option&, const T& from, T& to) { to = from; };
    detail::describe_policy_training(copy, *this, o);
    return o;
  }

  template <class Visitor, class... Options>
  static void describe(Visitor&& visit, Options&... o) {
    detail::describe_policy_training(visit, o...);
    visit({"group_size", "samples of each prompt", allowed::in(2, std::size_t{1} << 20), "responses"}, o.group_size...);
    visit({"baseline", "what the reward of a response is compared with"}, o.baseline...);
    visit({"scaling", "of the baseline mean"}, o.scaling...);
    visit({"leave_one_out", "of the baseline leave_one_out"}, o.leave_one_out...);
    visit({"skip_uniform_groups", "leave groups whose rewards are all equal out of the update"},
          o.skip_uniform_groups...);
  }
  void check_constraints(const std::string& prefix) const {
    detail::check_policy_training(*this, prefix);
    if (baseline != group_baseline::mean)
      require_unused(scaling, {}, prefix + "scaling.", "unless the baseline is mean");
    if (baseline != group_baseline::leave_one_out)
      require_unused(leave_one_out, {}, prefix + "leave_one_out.", "unless the baseline is leave_one_out");
  }

  /// Throws `option_error` for the first option that is out of its range, or has no effect with the others.
  template <class = detail::if_called>
  void validate() const {
    coho::validate(*this);
  }
};

/// The group_advantage_estimator that the options describe.
template <class Communicator>
class group_baseline_estimator {
 public:
  group_baseline_estimator(const group_relative_trainer_options& options, Communicator& ranks)
      : baseline_(options.baseline), scaling_(options.scaling), leave_one_out_(options.leave_one_out), ranks_(ranks) {}

  /// One advantage per response; `groups` as for `group_relative`.
  template <class Array>
  Eigen::ArrayXd operator()(const Array& rewards, std::span<const std::size_t> groups) const {
    if (baseline_ == group_baseline::mean) return group_relative(rewards, groups, scaling_, ranks_);
    return leave_one_out(rewards, groups, leave_one_out_).advantages;
  }

 private:
  group_baseline baseline_;
  group_relative_options scaling_;
  leave_one_out_options leave_one_out_;
  Communicator& ranks_;
};

}  // namespace coho::inline v0_1
