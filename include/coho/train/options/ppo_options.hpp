#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <coho/advantage/gae.hpp>
#include <coho/advantage/whiten.hpp>
#include <coho/concepts.hpp>
#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/kl/controllers.hpp>
#include <coho/kl/kl_loss.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/optimization/learning_rate_schedule.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>
#include <coho/reward/empty_response.hpp>
#include <coho/reward/normalization.hpp>
#include <coho/reward/shaping.hpp>
#include <coho/rollout/importance_weights.hpp>
#include <coho/rollout/micro_batch.hpp>
#include <coho/rollout/minibatch.hpp>
#include <coho/train/options/policy_training_options.hpp>

namespace coho::inline v0_1 {

/// The options of `ppo_trainer`.
struct ppo_options {
  std::uint64_t seed = 0;
  generation_options generation{};
  old_log_prob_source old_log_probs = old_log_prob_source::recomputed;
  /// With recomputed log-probabilities: importance weights that correct for a sampler with other kernels or precision.
  std::optional<importance_weights_options> sampler_correction{};

  normalize_options normalization{};  ///< of the reward model's scores, before bonuses
  /// The reward of a response whose text is blank (`is_blank`); without a decoder no response counts as empty.
  empty_response_rule empty_responses = empty_response_rule::lowest;
  shaping_options shaping{};                         ///< its `kl_coefficient` is β unless `adaptive_kl` is set
  std::optional<adaptive_kl_options> adaptive_kl{};  ///< β follows the KL
  /// Pads responses to max_new_tokens while rewards are shaped and advantages estimated, like the released
  /// code: then `shaping.placement` and the whitening's `all_positions` can reach padding, whose values and KL
  /// count as 0.
  bool padded_layout = false;
  gae_options gae{};
  bool whiten_advantages = true;
  whiten_options advantage_whitening{};

  std::size_t minibatch_size = 0;  ///< sequences per optimizer step, over all ranks; 0: the whole step's rollouts
  minibatch_scope scope = minibatch_scope::global;
  std::uint64_t epochs = 2;
  ppo_clip_options policy_clip{};
  value_clip_options value_clip{};
  double value_coefficient = 0.1;
  double kl_loss_coefficient = 0;   ///< of a KL penalty in the loss, in addition to or instead of that in the reward
  kl_loss_options kl_loss{};        ///< its estimator
  double entropy_coefficient = 0;   ///< > 0 needs a policy whose forward returns `entropy`
  reduction_options reduction{};    ///< kind and fixed_length (0: max_new_tokens); the normalizers are the driver's
  double gradient_norm_clip = 1;    ///< 0: off
  bool joint_gradient_norm = true;  ///< one norm over policy and value model, or one each
  learning_rate_options learning_rate{.peak = 2e-5};  ///< steps once per PPO step
  double value_learning_rate_factor = 1;              ///< for a separate value optimizer
  std::uint64_t value_warmup_steps = 0;               ///< first PPO steps, which update only the value model
  double target_kl =
      0;  ///< > 0: a minibatch whose approximate KL exceeds this is not applied and ends the PPO step's updates

  batch_limits scoring_batch{};  ///< what one forward of the scoring passes may hold
  batch_limits micro_batch{};    ///< what one forward of an update may hold; does not change the result

  /// SALMON as the paper describes it (§4.1.2, App. F): 576 rollouts in minibatches of 288, β 0.02.
  template <class = detail::if_called>
  static ppo_options paper() {
    ppo_options o;
    o.generation = {.max_new_tokens = 1024};
    o.shaping = shaping_options::paper();
    o.shaping.kl_coefficient = 0.02;
    o.advantage_whitening = whiten_options::paper();
    o.minibatch_size = 288;
    o.learning_rate = {.peak = 2e-5, .kind = schedule_kind::cosine, .total_steps = 200};
    return o;
  }
  /// As the released scripts run it: temperature 0.7, β 0.01, five warm-up steps, the code's shaping; empty responses
  /// are scored like any other.
  template <class = detail::if_called>
  static ppo_options salmon_code() {
    ppo_options o = paper();
    o.generation.temperature = 0.7;
    o.empty_responses = empty_response_rule::scored;
    o.shaping = shaping_options::salmon_code();
    o.shaping.kl_coefficient = 0.01;
    o.padded_layout = true;
    o.advantage_whitening = whiten_options::salmon_code();
    o.learning_rate.warmup_steps = 5;
    return o;
  }

  template <class Visitor, class... Options>
  static void describe(Visitor&& visit, Options&... o) {
    detail::describe_policy_training(visit, o...);
    visit({"padded_layout", "shape rewards and estimate advantages over responses padded to max_new_tokens"},
          o.padded_layout...);
    visit({"gae", "estimator of the advantages"}, o.gae...);
    visit({"value_clip", "clip of the value loss"}, o.value_clip...);
    visit({"value_coefficient", "weight of the value loss", allowed::at_least(0)}, o.value_coefficient...);
    visit({"joint_gradient_norm", "whether one gradient norm is taken over policy and value model, or one each"},
          o.joint_gradient_norm...);
    visit({"value_learning_rate_factor", "factor on the learning rate for the value model", allowed::at_least(0)},
          o.value_learning_rate_factor...);
    visit({"value_warmup_steps", "first steps that update only the value model", {}, "steps"}, o.value_warmup_steps...);
  }
  void check_constraints(const std::string& prefix) const { detail::check_policy_training(*this, prefix); }

  /// Throws `option_error` for the first option that is out of its range, or has no effect with the others.
  template <class = detail::if_called>
  void validate() const {
    coho::validate(*this);
  }
};

}  // namespace coho::inline v0_1
