#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <coho/advantage/gae.hpp>
#include <coho/advantage/whiten.hpp>
#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/kl/controllers.hpp>
#include <coho/kl/estimators.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/optimization/learning_rate_schedule.hpp>
#include <coho/reduce.hpp>
#include <coho/reward/empty_response.hpp>
#include <coho/reward/shaping.hpp>
#include <coho/reward/symbolic.hpp>
#include <coho/rollout/importance_weights.hpp>
#include <coho/rollout/minibatch.hpp>

namespace coho {

/// Where the log-probabilities come from that the ratios divide by.
enum class old_log_prob_source {
  recomputed,  ///< a pass of the policy over the rollouts: ratios of the first minibatch are exactly 1
  recorded,    ///< by the sampler as it sampled: one pass less; differences between sampler and policy enter the ratios
};

struct ppo_options {
  std::uint64_t seed = 0;
  generation_options generation{};
  old_log_prob_source old_log_probs = old_log_prob_source::recomputed;
  /// With recomputed log-probabilities: importance weights that correct a sampler of other kernels or precision.
  std::optional<importance_weights_options> sampler_correction{};

  normalize_options normalization{};  ///< of the reward model's scores, before bonuses
  /// What a response earns whose text is blank (`is_blank`); without a decoder no response is known to be empty.
  empty_response_rule empty_responses = empty_response_rule::lowest;
  shaping_options shaping{};                         ///< its `kl_coefficient` is β unless `adaptive_kl` is set
  std::optional<adaptive_kl_options> adaptive_kl{};  ///< β follows the KL
  /// Lays responses out padded to max_new_tokens while rewards are shaped and advantages estimated, as the released
  /// code does: then `shaping.placement` and the whitening's `all_positions` can reach padding, whose values and KL
  /// count as 0.
  bool padded_layout = false;
  gae_options gae{};
  bool whiten_advantages = true;
  whiten_options advantage_whitening{};

  std::size_t minibatch_size = 0;  ///< sequences an optimizer step, over all ranks; 0: the whole step's rollouts
  minibatch_scope scope = minibatch_scope::global;
  std::uint64_t epochs = 2;
  ppo_clip_options policy_clip{};
  value_clip_options value_clip{};
  double value_coefficient = 0.1;
  double kl_loss_coefficient = 0;   ///< of a KL penalty as a term of the loss, beside or instead of that of the reward
  kl_loss_options kl_loss{};        ///< its estimator
  double entropy_coefficient = 0;   ///< > 0 needs a policy whose forward returns `entropy`
  reduction_options reduction{};    ///< kind and fixed_length (0: max_new_tokens); the normalizers are the driver's
  double gradient_norm_clip = 1;    ///< 0: off
  bool joint_gradient_norm = true;  ///< one norm over policy and value model, or one each
  learning_rate_options learning_rate{.peak = 2e-5};  ///< steps once a PPO step
  double value_learning_rate_factor = 1;              ///< for a value optimizer of its own
  std::uint64_t value_warmup_steps = 0;               ///< first PPO steps that update the value model alone
  double target_kl =
      0;  ///< > 0: a minibatch whose approximate KL exceeds this is not applied and ends the PPO step's updates

  batch_limits scoring_batch{};  ///< what one forward of the scoring passes may hold
  batch_limits micro_batch{};    ///< what one forward of an update may hold; does not change the result

  /// SALMON as the paper describes it (§4.1.2, App. F): 576 rollouts in minibatches of 288, β 0.02.
  template <class = void>
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
  /// are scored as any.
  template <class = void>
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

  /// Throws `option_error` for the first option that is out of its range.
  template <class = void>
  void validate() const {
    const auto finite_from_zero = [](double x) { return std::isfinite(x) && x >= 0; };
    require_option(generation.max_new_tokens > 0, "generation.max_new_tokens", generation.max_new_tokens, "at least 1");
    // Ratios and KL are of the tempered softmax over all tokens: what is sampled must be drawn from just that.
    require_option(std::isfinite(generation.temperature) && generation.temperature > 0, "generation.temperature",
                   generation.temperature, "greater than 0: a greedy response was not drawn from the policy");
    require_option(generation.top_p == 1, "generation.top_p", generation.top_p,
                   "1: a truncated distribution is not the one that is scored");
    require_option(generation.top_k == 0, "generation.top_k", generation.top_k,
                   "0 (off): a truncated distribution is not the one that is scored");
    if (sampler_correction) {
      require_option(old_log_probs == old_log_prob_source::recomputed, "sampler_correction", "on",
                     "off unless old_log_probs is recomputed");
      sampler_correction->validate("sampler_correction.");
    }
    require_option(std::isfinite(normalization.mean), "normalization.mean", normalization.mean, "finite");
    require_option(std::isfinite(normalization.deviation) && normalization.deviation > 0, "normalization.deviation",
                   normalization.deviation, "greater than 0");
    require_option(finite_from_zero(normalization.clip), "normalization.clip", normalization.clip,
                   "finite and at least 0");
    shaping.validate("shaping.");
    require_option(gae.gamma >= 0 && gae.gamma <= 1, "gae.gamma", gae.gamma, "in [0, 1]");
    require_option(gae.lambda >= 0 && gae.lambda <= 1, "gae.lambda", gae.lambda, "in [0, 1]");
    require_option(advantage_whitening.epsilon > 0, "advantage_whitening.epsilon", advantage_whitening.epsilon,
                   "greater than 0");
    require_option(epochs > 0, "epochs", epochs, "at least 1");
    require_option(finite_from_zero(value_coefficient), "value_coefficient", value_coefficient,
                   "finite and at least 0");
    require_option(finite_from_zero(kl_loss_coefficient), "kl_loss_coefficient", kl_loss_coefficient,
                   "finite and at least 0");
    require_option(finite_from_zero(entropy_coefficient), "entropy_coefficient", entropy_coefficient,
                   "finite and at least 0");
    require_option(finite_from_zero(gradient_norm_clip), "gradient_norm_clip", gradient_norm_clip,
                   "finite and at least 0");
    require_option(finite_from_zero(value_learning_rate_factor), "value_learning_rate_factor",
                   value_learning_rate_factor, "finite and at least 0");
    require_option(finite_from_zero(target_kl), "target_kl", target_kl, "finite and at least 0");
    require_option(finite_from_zero(reduction.fixed_length), "reduction.fixed_length", reduction.fixed_length,
                   "finite and at least 0");
    require_option(reduction.token_normalizer == 0 && reduction.sequence_normalizer == 0, "reduction.token_normalizer",
                   reduction.token_normalizer, "0, as sequence_normalizer: the driver counts");
    static_cast<void>(coho::kl_loss(kl_loss));
    static_cast<void>(ppo_clip_loss(policy_clip));
    static_cast<void>(value_clip_loss(value_clip));
    static_cast<void>(learning_rate_schedule(learning_rate));
    if (adaptive_kl) static_cast<void>(adaptive_kl_controller(*adaptive_kl));
  }
};

}  // namespace coho
