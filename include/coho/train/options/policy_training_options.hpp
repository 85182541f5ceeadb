#pragma once

#include <array>
#include <string>

#include <coho/error.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

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
  visit({"seed", "seed of all random numbers"}, o.seed...);
  visit({"generation", "how responses are sampled"}, o.generation...);
  visit({"old_log_probs",
         "denominators of the ratios: from a pass of the policy over the rollouts, or as the sampler recorded them"},
        o.old_log_probs...);
  visit({"sampler_correction", "importance weights that correct a sampler of other kernels or precision"},
        o.sampler_correction...);
  visit({"normalization", "normalization of the reward model's scores, before bonuses"}, o.normalization...);
  visit({"empty_responses", "reward of a blank response: that of the step's worst one, or its own score"},
        o.empty_responses...);
  visit({"shaping", "how rewards and KL become token rewards"}, o.shaping...);
  visit({"adaptive_kl", "β follows the KL"}, o.adaptive_kl...);
  visit({"whiten_advantages", "whether advantages are whitened over all real tokens of the step"},
        o.whiten_advantages...);
  visit({"advantage_whitening", "how, with whiten_advantages"}, o.advantage_whitening...);
  visit({"minibatch_size", "responses per optimizer step, over all ranks; 0: all of the step", {}, "responses"},
        o.minibatch_size...);
  visit({"scope", "where the minibatches of several ranks are drawn"}, o.scope...);
  visit({"epochs", "passes over the rollouts of a step", allowed::at_least(1)}, o.epochs...);
  visit({"policy_clip", "clip of the policy loss"}, o.policy_clip...);
  visit({"kl_loss_coefficient", "weight of a KL penalty in the loss", allowed::at_least(0)}, o.kl_loss_coefficient...);
  visit({"kl_loss", "form of that penalty"}, o.kl_loss...);
  visit({"entropy_coefficient", "weight of an entropy bonus", allowed::at_least(0)}, o.entropy_coefficient...);
  visit({"reduction", "how token losses become one number"}, o.reduction...);
  visit({"gradient_norm_clip", "largest norm of the gradient; 0: off", allowed::at_least(0)}, o.gradient_norm_clip...);
  visit({"learning_rate", "learning rate of the policy, one step of the schedule per step of the trainer"},
        o.learning_rate...);
  visit({"target_kl", "a minibatch whose approximate KL is above ends the step's updates; 0: off", allowed::at_least(0),
         "nats"},
        o.target_kl...);
  visit({"scoring_batch", "forwards without gradients"}, o.scoring_batch...);
  visit({"micro_batch", "forwards of an update; does not change the result"}, o.micro_batch...);
}

/// The constraints between those options; throws `option_error` with names that start with `prefix`.
/// Whether β is what the options have without being asked, in any of their presets.
template <class Options>
bool has_preset_kl_coefficient(const Options& o) {
  const double given = o.shaping.kl_coefficient;
  if constexpr (requires { Options::salmon_code(); })
    if (given == Options::salmon_code().shaping.kl_coefficient) return true;
  if constexpr (requires { Options::rloo(); })
    if (given == Options::rloo().shaping.kl_coefficient) return true;
  return given == Options{}.shaping.kl_coefficient;
}

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
  require_option(!o.adaptive_kl || has_preset_kl_coefficient(o) || o.shaping.kl_coefficient == o.adaptive_kl->initial,
                 prefix + "shaping.kl_coefficient", o.shaping.kl_coefficient,
                 "left as it is, or adaptive_kl.initial, where adaptive_kl is set");
}

/// For a caller's own KL controller: throws `option_error` where an option of the built-in ones was changed.
template <class Options>
void require_no_kl_options(const Options& o) {
  const auto reason = "left as it is where a KL controller is given";
  require_option(!o.adaptive_kl, "adaptive_kl", "set", reason);
  require_option(has_preset_kl_coefficient(o), "shaping.kl_coefficient", o.shaping.kl_coefficient, reason);
}

}  // namespace detail

}  // namespace coho::inline v0_1
