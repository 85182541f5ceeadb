#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/kl/controllers.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/reduce.hpp>
#include <coho/rollout/minibatch.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/callbacks.hpp>
#include <coho/train/collect_rollouts.hpp>
#include <coho/train/gradient_clipping.hpp>
#include <coho/train/learning_rate_schedule.hpp>
#include <coho/train/model_outputs.hpp>
#include <coho/train/ppo_models.hpp>
#include <coho/train/ppo_options.hpp>
#include <coho/train/ppo_statistics.hpp>

namespace coho {

/// Proximal policy optimisation of a language model against a reward model (Schulman et al. 2017; SALMON §3.1, eq. 2):
///
///     maximise  E[ r(x, y) − β Σ_t (log π(y_t | x, y_<t) − log π_ref(y_t | x, y_<t)) ]
///
/// A step samples a response to each prompt, evaluates policy, reference, values and rewards once, shapes token
/// rewards, estimates and whitens advantages over all ranks, and makes `epochs` passes of clipped updates over shuffled
/// minibatches. A minibatch's losses are normalised by its tokens over all micro-batches and ranks.
///
/// Deterministic in (seed, step, keys): independent of the order of the prompts, of micro-batches and, with scope
/// `global`, of the number of ranks, up to the order of summation. The models are held by reference.
///
/// Throws `option_error` on construction; `argument_error` for prompts or model outputs that do not fit or are not
/// finite; `error` when a gradient is not finite (that minibatch is not applied). A step that throws does not count.
///
///     coho::ppo_trainer trainer{coho::ppo_models{.policy = policy, .reference = initial, .value = value, .reward =
///     reward,
///                                                .optimizer = adam}, coho::ppo_options{.epochs = 2}};
///     coho::ppo_statistics statistics = trainer.step(prompts);
template <class... Types>
class ppo_trainer {
  static_assert(detail::require_ppo_models<Types...>());

 public:
  explicit ppo_trainer(ppo_models<Types...> models, ppo_options options = {})
      : models_(models),
        options_((options.validate(), std::move(options))),
        policy_loss_(options_.policy_clip),
        value_loss_(options_.value_clip),
        rate_(options_.learning_rate) {
    if (options_.reduction.fixed_length == 0) {
      options_.reduction.fixed_length = static_cast<double>(options_.generation.max_new_tokens);
    }
    require_option(has_entropy || options_.entropy_coefficient == 0, "entropy_coefficient",
                   options_.entropy_coefficient, "0 for a policy whose forward returns no entropy");
    require_option(options_.value_warmup_steps == 0 || !same(models_.optimizer, models_.value_optimizer), "value_warmup_steps",
                   options_.value_warmup_steps, "0 unless the value model has an optimizer of its own");
    if (options_.adaptive_kl) controller_ = adaptive_kl_controller(*options_.adaptive_kl);
  }

  /// One PPO step over this rank's prompts. Every rank must call it, each with at least one prompt.
  template <class... Callbacks>
  ppo_statistics step(std::span<const rl_prompt> prompts, Callbacks&&... callbacks) {
    static_assert(
        (detail::require_callback<Callbacks, ppo_statistics, minibatch_statistics, trajectory_batch>() && ...));
    require_argument(!prompts.empty(), "a PPO step needs at least one prompt");
    notify::step_begin(step_, callbacks...);
    ppo_statistics out{.step = step_, .kl_coefficient = kl_coefficient(), .learning_rate = rate_(step_)};
    trajectory_batch rollouts = collect_rollouts(models_, prompts, options_, step_, out);
    detail::stopwatch watch;
    estimate_advantages(rollouts, options_, out.kl_coefficient, models_.ranks);
    detail::describe_rollouts(rollouts, models_.ranks, out);
    notify::rollouts(rollouts, callbacks...);
    update(rollouts, out, callbacks...);
    out.phase_seconds.update += watch.lap();
    if (controller_) controller_->update(out.kl_sequence, out.sequences);
    ++step_;
    notify::step_end(out, callbacks...);
    return out;
  }

  /// Steps until `steps` have been made in all (those before a `restore` included) or a callback requests a stop.
  /// `source(step)` returns the prompts of a step as a contiguous range of rl_prompt.
  template <class Source, class... Callbacks>
  std::vector<ppo_statistics> run(Source&& source, std::uint64_t steps, Callbacks&&... callbacks) {
    std::vector<ppo_statistics> history;
    while (step_ < steps) {
      const auto& prompts = source(step_);
      history.push_back(step(std::span<const rl_prompt>(prompts), callbacks...));
      if (notify::stop(models_.ranks, callbacks...)) break;
    }
    return history;
  }

  /// β of the next step.
  double kl_coefficient() const noexcept {
    return controller_ ? controller_->coefficient() : options_.shaping.kl_coefficient;
  }
  const ppo_options& options() const noexcept { return options_; }

  ppo_state save() const { return {step_, options_.seed, {kl_coefficient()}}; }
  /// Throws `argument_error` for a state of another seed: the run would not be the same.
  void restore(const ppo_state& saved) {
    require_argument(saved.seed == options_.seed, "the saved run had the seed " + std::to_string(saved.seed) +
                                                      ", this one has " + std::to_string(options_.seed));
    if (controller_) controller_->restore(saved.kl);
    step_ = saved.step;
  }

 private:
  using policy_type = std::remove_reference_t<decltype(std::declval<ppo_models<Types...>>().policy)>;
  static constexpr bool has_entropy = requires(policy_type& m, const token_batch& b) {
    { m.forward(b).first.entropy } -> number_range;
  };

  // The same object in both places: one set of gradients, or one optimizer of both.
  template <class A, class B>
  static bool same(const A& a, const B& b) noexcept {
    return static_cast<const volatile void*>(std::addressof(a)) ==
               static_cast<const volatile void*>(std::addressof(b)) &&
           std::is_same_v<std::remove_const_t<A>, std::remove_const_t<B>>;
  }

  template <class... Callbacks>
  void update(const trajectory_batch& rollouts, ppo_statistics& out, Callbacks&... callbacks) {
    const token_batch value_batch = rollouts.value_batch();
    const auto lengths = sequence_lengths(rollouts.batch);
    std::vector<std::uint64_t> keys;
    for (const auto& prompt : rollouts.prompts) keys.push_back(prompt.key);
    const rng stream = rng(options_.seed).split(step_).split(stream_key("minibatches"));
    double tokens = 0, entropy = 0;
    bool first = true;
    for (std::uint64_t epoch = 0; epoch < options_.epochs && !out.stopped_by_kl; ++epoch) {
      std::uint64_t number = 0;
      for (const auto& indices :
           minibatches(keys, options_.minibatch_size, stream.split(epoch), options_.scope, models_.ranks)) {
        minibatch_statistics m{.step = step_, .epoch = epoch, .minibatch = number++};
        accumulate(rollouts, value_batch, micro_batches(indices, lengths, options_.micro_batch), m);
        m.applied = options_.target_kl == 0 || m.approximate_kl <= options_.target_kl;
        if (m.applied) {
          apply(out.learning_rate, m);
          out.gradient_norm += m.gradient_norm;
          ++out.optimizer_steps;
        }
        if (std::exchange(first, false)) out.first_ratio_deviation = m.ratio_deviation;
        tokens += m.tokens;
        entropy += m.entropy * m.tokens;
        out.policy_loss += m.policy_loss * m.tokens;
        out.value_loss += m.value_loss * m.tokens;
        out.clip_fraction += m.clip_fraction * m.tokens;
        out.value_clip_fraction += m.value_clip_fraction * m.tokens;
        out.approximate_kl += m.approximate_kl * m.tokens;
        for (const std::size_t i : indices) out.phase_tokens.update += static_cast<double>(lengths[i]);
        notify::minibatch(m, callbacks...);
        if (!m.applied) {
          out.stopped_by_kl = true;
          break;
        }
      }
    }
    const double share = tokens > 0 ? 1 / tokens : 0;
    if (has_entropy && step_ >= options_.value_warmup_steps) out.entropy = entropy * share;
    out.policy_loss *= share;
    out.value_loss *= share;
    out.clip_fraction *= share;
    out.value_clip_fraction *= share;
    out.approximate_kl *= share;
    if (out.optimizer_steps > 0) out.gradient_norm /= static_cast<double>(out.optimizer_steps);
  }

  // Adds up the gradients of a minibatch over its micro-batches, and its statistics over all ranks.
  void accumulate(const trajectory_batch& rollouts, const token_batch& value_batch,
                  const std::vector<std::vector<std::size_t>>& parts, minibatch_statistics& m) {
    const auto& offsets = rollouts.batch.responses.offsets;
    double counts[2] = {};
    for (const auto& part : parts) {
      counts[0] += static_cast<double>(part.size());
      for (const std::size_t i : part) counts[1] += static_cast<double>(rollouts.batch.responses.length(i));
    }
    models_.ranks.all_reduce_sum(std::span<double>(counts));
    m.sequences = counts[0];
    m.tokens = counts[1];
    reduction_options reduction = options_.reduction;
    reduction.sequence_normalizer = m.sequences;
    reduction.token_normalizer = m.tokens;
    const bool train_policy = step_ >= options_.value_warmup_steps;

    models_.policy.zero_gradients();
    if (!same(models_.policy, models_.value)) models_.value.zero_gradients();
    double sums[6] = {};  // policy loss, clipped, approximate KL, entropy, value loss, values clipped
    for (const auto& part : parts) {
      const token_batch tokens = rollouts.batch.select(part);
      const auto weights = make_token_weights(tokens.responses.offsets, reduction);
      if (train_policy) {
        policy_part(tokens, gather(rollouts.old_log_probs, offsets, part), gather(rollouts.advantages, offsets, part),
                    weights, sums, m.ratio_deviation);
      }
      value_part({value_batch.prompts.select(part), tokens.responses}, gather(rollouts.values, offsets, part),
                 gather(rollouts.returns, offsets, part), weights, sums);
    }
    models_.ranks.all_reduce_sum(std::span<double>(sums));
    m.policy_loss = sums[0];
    m.clip_fraction = sums[1] / m.tokens;
    m.approximate_kl = sums[2] / m.tokens;
    m.entropy = sums[3] / m.tokens;
    m.value_loss = sums[4];
    m.value_clip_fraction = sums[5] / m.tokens;
    m.ratio_deviation = detail::all_reduce_max(m.ratio_deviation, models_.ranks);
  }

  void policy_part(const token_batch& tokens, const Eigen::ArrayXd& old_log_probs, const Eigen::ArrayXd& advantages,
                   const token_weights<Eigen::ArrayXd>& weights, double* sums, double& ratio_deviation) {
    const std::size_t count = tokens.responses.total();
    auto [output, pullback] = models_.policy.forward(tokens);
    const Eigen::ArrayXd log_probs = lift_output(output.log_probs, count, "log_probs of the policy's forward");
    const auto loss = policy_loss_.value_and_grad(log_probs, old_log_probs, advantages, weights);
    sums[0] += loss.value;
    sums[1] += loss.clip_fraction * loss.tokens;
    sums[2] += loss.approximate_kl * loss.tokens;
    if (count > 0)
      ratio_deviation = std::max(ratio_deviation, ((log_probs - old_log_probs).exp() - 1).abs().maxCoeff());
    Eigen::ArrayXd d_entropy;
    if constexpr (has_entropy) {
      sums[3] += lift_output(output.entropy, count, "entropy of the policy's forward").sum();
      if (options_.entropy_coefficient > 0) d_entropy = -options_.entropy_coefficient * weights.values;
    }
    pullback(policy_gradient{.log_probs = {loss.d_log_probs.data(), count},
                             .entropy = {d_entropy.data(), static_cast<std::size_t>(d_entropy.size())}});
  }

  void value_part(const token_batch& tokens, const Eigen::ArrayXd& old_values, const Eigen::ArrayXd& returns,
                  const token_weights<Eigen::ArrayXd>& weights, double* sums) {
    const std::size_t count = tokens.responses.total();
    auto [output, pullback] = models_.value.forward(tokens);
    const Eigen::ArrayXd values = lift_output(output.values, count, "values of the value model's forward");
    const auto loss = value_loss_.value_and_grad(values, old_values, returns, weights);
    sums[4] += loss.value;
    sums[5] += loss.clip_fraction * loss.tokens;
    const Eigen::ArrayXd d_values = options_.value_coefficient * loss.d_values;
    pullback(value_gradient{.values = {d_values.data(), count}});
  }

  // All-reduce, clip, step.
  void apply(double learning_rate, minibatch_statistics& m) {
    auto& [policy, reference, value, reward, optimizer, value_optimizer, decoder, bonus, ranks] = models_;
    if (same(policy, value)) {
      all_reduce_gradients(ranks, policy);
      m.gradient_norm = clip_gradient_norm(options_.gradient_norm_clip, policy);
    } else {
      all_reduce_gradients(ranks, policy, value);
      if (options_.joint_gradient_norm) {
        m.gradient_norm = clip_gradient_norm(options_.gradient_norm_clip, policy, value);
      } else {
        m.gradient_norm = std::hypot(clip_gradient_norm(options_.gradient_norm_clip, policy),
                                     clip_gradient_norm(options_.gradient_norm_clip, value));
      }
    }
    if (!std::isfinite(m.gradient_norm)) {
      throw error("PPO step " + std::to_string(m.step) + ", epoch " + std::to_string(m.epoch) + ", minibatch " +
                  std::to_string(m.minibatch) + ": the gradient is not finite; the minibatch was not applied");
    }
    if (same(optimizer, value_optimizer)) {
      optimizer.step(learning_rate);
    } else {
      if (step_ >= options_.value_warmup_steps) optimizer.step(learning_rate);
      value_optimizer.step(learning_rate * options_.value_learning_rate_factor);
    }
  }

  ppo_models<Types...> models_;
  ppo_options options_;
  ppo_clip_loss policy_loss_;
  value_clip_loss value_loss_;
  learning_rate_schedule rate_;
  std::optional<adaptive_kl_controller> controller_;
  std::uint64_t step_ = 0;
};

}  // namespace coho
