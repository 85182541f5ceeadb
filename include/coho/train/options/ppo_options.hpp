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
#include <coho/reward/shaping.hpp>
#include <coho/reward/symbolic.hpp>
#include <coho/rollout/importance_weights.hpp>
#include <coho/rollout/minibatch.hpp>

namespace coho::inline v0_1 {

/// Where the denominators of the ratios come from.
enum class old_log_prob_source {
  recomputed,  ///< a pass of the policy over the rollouts: ratios of the first minibatch are exactly 1
  recorded,    ///< by the sampler as it sampled: one pass less; differences between sampler and policy enter the ratios
};

constexpr auto option_names(old_log_prob_source) { return std::array{"recomputed", "recorded"}; }

namespace detail {

/// Describes the options shared by PPO and the group-relative trainers, for one object or several in parallel.
template <class Visitor, class... Options>
void describe_policy_training(Visitor& visit, Options&... o) {
  visit({"seed", "of all random numbers"}, o.seed...);
  visit({"generation", "how responses are sampled"}, o.generation...);
  visit({"old_log_probs", "of the ratios: a pass of the policy over the rollouts, or as the sampler recorded them"},
        o.old_log_probs...);
  visit({"sampler_correction", "importance weights that correct a sampler of other kernels or precision"},
        o.sampler_correction...);
  visit({"normalization", "of the reward model's scores, before bonuses"}, o.normalization...);
  visit({"empty_responses", "what a blank response earns: what the step's worst one does, or its score"},
        o.empty_responses...);
  visit({"shaping", "how rewards and KL become token rewards"}, o.shaping...);
  visit({"adaptive_kl", "β follows the KL"}, o.adaptive_kl...);
  visit({"whiten_advantages", "over all real tokens of the step"}, o.whiten_advantages...);
  visit({"advantage_whitening", "how, with whiten_advantages"}, o.advantage_whitening...);
  visit({"minibatch_size", "responses per optimizer step, over all ranks; 0: all of the step", {}, "responses"},
        o.minibatch_size...);
  visit({"scope", "who chooses the minibatches of several ranks"}, o.scope...);
  visit({"epochs", "passes over the rollouts of a step", allowed::at_least(1)}, o.epochs...);
  visit({"policy_clip", "of the policy loss"}, o.policy_clip...);
  visit({"kl_loss_coefficient", "weight of a KL penalty in the loss", allowed::at_least(0)}, o.kl_loss_coefficient...);
  visit({"kl_loss", "that penalty"}, o.kl_loss...);
  visit({"entropy_coefficient", "weight of an entropy bonus", allowed::at_least(0)}, o.entropy_coefficient...);
  visit({"reduction", "how token losses become one number"}, o.reduction...);
  visit({"gradient_norm_clip", "largest norm of the gradient; 0: off", allowed::at_least(0)}, o.gradient_norm_clip...);
  visit({"learning_rate", "of the policy, one step of the schedule per step of the trainer"}, o.learning_rate...);
  visit({"target_kl", "a minibatch whose approximate KL is above ends the step's updates; 0: off", allowed::at_least(0),
         "nats"},
        o.target_kl...);
  visit({"scoring_batch", "forwards without gradients"}, o.scoring_batch...);
  visit({"micro_batch", "forwards of an update; does not change the result"}, o.micro_batch...);
}

/// The constraints between those options; throws `option_error` with names that start with `prefix`.
template <class Options>
void check_policy_training(const Options& o, const std::string& prefix) {
  // Ratios and KL are of the tempered softmax over all tokens: samples must be drawn from exactly that.
  require_option(o.generation.temperature > 0, prefix + "generation.temperature", o.generation.temperature,
                 "greater than 0: a greedy response was not drawn from the policy");
  require_option(o.generation.top_p == 1, prefix + "generation.top_p", o.generation.top_p,
                 "1: a truncated distribution is not the one that is scored");
  require_option(o.generation.top_k == 0, prefix + "generation.top_k", o.generation.top_k,
                 "0 (off): a truncated distribution is not the one that is scored");
  require_option(!o.sampler_correction || o.old_log_probs == old_log_prob_source::recomputed,
                 prefix + "sampler_correction", "on", "off unless old_log_probs is recomputed");
  require_option(o.reduction.token_normalizer == 0 && o.reduction.sequence_normalizer == 0,
                 prefix + "reduction.token_normalizer", o.reduction.token_normalizer,
                 "0, as sequence_normalizer: the driver counts");
  // Reject options that would silently have no effect.
  require_option(o.reduction.fixed_length == 0 || o.reduction.kind == reduction::fixed_length,
                 prefix + "reduction.fixed_length", o.reduction.fixed_length, "0 unless the kind is fixed_length");
  const Options defaults{};
  if (o.kl_loss_coefficient == 0)
    require_unused(o.kl_loss, defaults.kl_loss, prefix + "kl_loss.", "while kl_loss_coefficient is 0");
  require_option(!o.adaptive_kl || o.shaping.kl_coefficient == defaults.shaping.kl_coefficient ||
                     o.shaping.kl_coefficient == o.adaptive_kl->initial,
                 prefix + "shaping.kl_coefficient", o.shaping.kl_coefficient,
                 "left as it is, or adaptive_kl.initial, where adaptive_kl is set");
}

/// For a caller's own KL controller: throws `option_error` where an option of the built-in ones was changed.
template <class Options>
void require_no_kl_options(const Options& o) {
  const auto reason = "left as it is where a KL controller is given";
  require_option(!o.adaptive_kl, "adaptive_kl", "set", reason);
  require_option(o.shaping.kl_coefficient == Options{}.shaping.kl_coefficient, "shaping.kl_coefficient",
                 o.shaping.kl_coefficient, reason);
}

}  // namespace detail

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
    visit({"gae", "of the advantages"}, o.gae...);
    visit({"value_clip", "of the value loss"}, o.value_clip...);
    visit({"value_coefficient", "weight of the value loss", allowed::at_least(0)}, o.value_coefficient...);
    visit({"joint_gradient_norm", "one gradient norm over policy and value model, or one each"},
          o.joint_gradient_norm...);
    visit({"value_learning_rate_factor", "of the value model's optimizer", allowed::at_least(0)},
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
