#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/kl/kl_loss.hpp>
#include <coho/optimization/gradient_step.hpp>
#include <coho/parallel/all_reduce.hpp>
#include <coho/parallel/gradient_sum.hpp>
#include <coho/parallel/shards.hpp>
#include <coho/reduce.hpp>
#include <coho/rollout/micro_batch.hpp>
#include <coho/rollout/minibatch.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/ppo_options.hpp>
#include <coho/train/steps/model_outputs.hpp>
#include <coho/train/steps/policy_components.hpp>
#include <coho/train/steps/ppo_models.hpp>
#include <coho/train/steps/ppo_statistics.hpp>

namespace coho::inline v0_1::detail {

/// The optimizer step of an on-policy driver on one minibatch: gradients over its micro-batches, shards and ranks,
/// normalised over all of them, then clip and step. Models without a value model skip that part.
template <class Models, class PolicyLoss, class ValueLoss>
class minibatch_update {
  using policy_type = std::remove_reference_t<decltype(std::declval<Models&>().policy)>;
  using value_type = std::remove_reference_t<decltype(std::declval<Models&>().value)>;

 public:
  static constexpr bool has_value = !std::is_same_v<std::remove_const_t<value_type>, no_value_type>;
  static constexpr bool has_entropy = requires(policy_type& m, const token_batch& b) {
    { m.forward(b).first.entropy } -> number_range;
  };

  minibatch_update(const Models& models, const ppo_options& options, PolicyLoss policy_loss, ValueLoss value_loss)
      : models_(models),
        options_(options),
        policy_loss_(std::move(policy_loss)),
        value_loss_(std::move(value_loss)),
        kl_loss_(options.kl_loss) {
    if (options_.reduction.fixed_length == 0) {
      options_.reduction.fixed_length = static_cast<double>(options_.generation.max_new_tokens);
    }
    require_option(has_entropy || options_.entropy_coefficient == 0, "entropy_coefficient",
                   options_.entropy_coefficient, "0 for a policy whose forward returns no entropy");
    require_option(options_.value_warmup_steps == 0 || separate_value_optimizer(), "value_warmup_steps",
                   options_.value_warmup_steps, "0 unless the value model has an optimizer of its own");
  }

  /// Whether the policy learns in a step: not while only the value model warms up.
  bool trains_policy(std::uint64_t step) const noexcept { return step >= options_.value_warmup_steps; }

  /// `work`: this rank's shards of the minibatch. `m`: names the minibatch and counts its sequences and tokens; the
  /// rest is filled in. Where the KL divergence is above `target_kl`, nothing is applied.
  void operator()(const trajectory_batch& rollouts, const token_batch& value_batch, const work_plan& work,
                  std::span<const std::size_t> lengths, double learning_rate, minibatch_statistics& m) {
    with_gradients(work.shards, [&](auto& gradients) {
      accumulate(rollouts, value_batch, work, lengths, gradients, m);
      m.applied = options_.target_kl == 0 || m.approximate_kl <= options_.target_kl;
      if (!m.applied) return;
      gradients.all_reduce();
      step_optimizers(learning_rate, m);
    });
  }

 private:
  // For one shard: the first three are sums of weighted terms, the rest sums over tokens.
  struct sums {
    double policy_loss = 0, value_loss = 0, kl_loss = 0, clipped = 0, divergence = 0, entropy = 0, values_clipped = 0;
  };

  // The same object in both places: one set of gradients, or one optimizer for both.
  template <class A, class B>
  static bool same_object(const A& a, const B& b) noexcept {
    return static_cast<const volatile void*>(&a) == static_cast<const volatile void*>(&b) &&
           std::is_same_v<std::remove_const_t<A>, std::remove_const_t<B>>;
  }

  // Whether the value model has an optimizer of its own, which can step without the policy's.
  bool separate_value_optimizer() const noexcept {
    if constexpr (!has_value) return false;
    return !same_object(models_.optimizer, models_.value_optimizer);
  }

  // Calls f with the gradient sum of the models being trained.
  template <class Function>
  void with_gradients(std::size_t shards, const Function& f) {
    if constexpr (has_value) {
      if (!same_object(models_.policy, models_.value)) {
        gradient_sum gradients(models_.ranks, shards, models_.policy, models_.value);
        return f(gradients);
      }
    }
    gradient_sum gradients(models_.ranks, shards, models_.policy);
    f(gradients);
  }

  // Adds up the gradients of a minibatch over this rank's shards and their micro-batches, and its statistics over all
  // ranks.
  template <class Gradients>
  void accumulate(const trajectory_batch& rollouts, const token_batch& value_batch, const work_plan& work,
                  std::span<const std::size_t> lengths, Gradients& gradients, minibatch_statistics& m) {
    reduction_options reduction = options_.reduction;
    reduction.sequence_normalizer = m.sequences;
    reduction.token_normalizer = m.tokens;
    const bool train_policy = trains_policy(m.step);
    shard_sums<7> all(work.shards);
    for (const auto& shard : work.mine) {
      sums total;
      gradients.begin_shard(shard.number);
      for (const auto& part : micro_batches(shard.indices, lengths, options_.micro_batch)) {
        const token_batch tokens = rollouts.batch.select(part);
        const auto weights = make_token_weights(span_of(tokens.responses.offsets), reduction);
        if (train_policy) accumulate_policy(tokens, rollouts, part, weights, total, m.ratio_deviation);
        if constexpr (has_value) {
          accumulate_value({value_batch.prompts.select(part), tokens.responses}, rollouts, part, weights, total);
        }
      }
      gradients.end_shard();
      const double of_shard[] = {total.policy_loss, total.value_loss, total.kl_loss,       total.clipped,
                                 total.divergence,  total.entropy,    total.values_clipped};
      std::copy(std::begin(of_shard), std::end(of_shard), all.shard(shard.number));
    }
    gradients.end_forwards();
    const auto reduced = all.total(models_.ranks);
    m.policy_loss = reduced[0];
    m.value_loss = reduced[1];
    m.kl_loss = reduced[2];
    m.clip_fraction = reduced[3] / m.tokens;
    m.approximate_kl = reduced[4] / m.tokens;
    m.entropy = reduced[5] / m.tokens;
    m.value_clip_fraction = reduced[6] / m.tokens;
    m.ratio_deviation = all_reduce_max(m.ratio_deviation, models_.ranks);
  }

  // One micro-batch: adds the gradients of policy loss, KL loss and entropy, and their statistics.
  void accumulate_policy(const token_batch& tokens, const trajectory_batch& rollouts,
                         const std::vector<std::size_t>& part, const array_weights& weights, sums& total,
                         double& ratio_deviation) {
    const auto offsets = span_of(rollouts.batch.responses.offsets), chosen = span_of(part);
    const Eigen::ArrayXd old_log_probs = gather(rollouts.old_log_probs, offsets, chosen);
    const std::size_t count = tokens.responses.total();
    auto [output, pullback] = models_.policy.forward(tokens);
    const auto log_probs = checked_output(output.log_probs, count, "log_probs of the policy's forward");
    auto loss = evaluate_policy_loss(policy_loss_, {.log_probs = log_probs,
                                                    .old_log_probs = old_log_probs,
                                                    .advantages = gather(rollouts.advantages, offsets, chosen),
                                                    .weights = weights,
                                                    .offsets = tokens.responses.offsets});
    total.policy_loss += loss.value;
    total.clipped += loss.clipped;
    total.divergence += loss.divergence;
    for (std::size_t t = 0; t < count; ++t) {
      const auto i = static_cast<Eigen::Index>(t);
      ratio_deviation = std::max(ratio_deviation, std::abs(std::exp(log_probs(i) - old_log_probs(i)) - 1));
    }
    if (options_.kl_loss_coefficient > 0) {
      const auto kl =
          kl_loss_.value_and_grad({.log_probs = log_probs,
                                   .reference_log_probs = gather(rollouts.reference_log_probs, offsets, chosen),
                                   .weights = weights});
      total.kl_loss += kl.value;
      loss.d_log_probs += options_.kl_loss_coefficient * kl.d_log_probs;
    }
    std::vector<double> d_entropy;
    if constexpr (has_entropy) {
      total.entropy += checked_output(output.entropy, count, "entropy of the policy's forward").sum();
      if (options_.entropy_coefficient > 0) {
        for (const double weight : weights.values) d_entropy.push_back(-options_.entropy_coefficient * weight);
      }
    }
    pullback(
        policy_gradient{.log_probs = {loss.d_log_probs.data(), count}, .entropy = span_of(std::as_const(d_entropy))});
  }

  // One micro-batch: adds the gradient of the value loss, and its statistics.
  void accumulate_value(const token_batch& tokens, const trajectory_batch& rollouts,
                        const std::vector<std::size_t>& part, const array_weights& weights, sums& total) {
    const auto offsets = span_of(rollouts.batch.responses.offsets), chosen = span_of(part);
    const std::size_t count = tokens.responses.total();
    auto [output, pullback] = models_.value.forward(tokens);
    const auto values = checked_output(output.values, count, "values of the value model's forward");
    auto loss = evaluate_value_loss(value_loss_, {.values = values,
                                                  .old_values = gather(rollouts.values, offsets, chosen),
                                                  .returns = gather(rollouts.returns, offsets, chosen),
                                                  .weights = weights});
    total.value_loss += loss.value;
    total.values_clipped += loss.clipped;
    loss.d_values *= options_.value_coefficient;
    pullback(value_gradient{.values = {loss.d_values.data(), count}});
  }

  // Clips and steps, once the gradients are summed over all ranks. Throws error, before anything is changed, for a
  // gradient that is not finite.
  void step_optimizers(double learning_rate, minibatch_statistics& m) {
    const std::string what = "step " + std::to_string(m.step) + ", epoch " + std::to_string(m.epoch) + ", minibatch " +
                             std::to_string(m.minibatch);
    const double limit = options_.gradient_norm_clip;
    if constexpr (!has_value) {
      m.gradient_norm = gradient_step(what, models_.policy, models_.optimizer, learning_rate, limit);
    } else {
      auto& policy = models_.policy;
      auto& value = models_.value;
      if (same_object(policy, value)) {
        m.gradient_norm = clip_gradient_norm(limit, policy);
      } else {
        m.gradient_norm = options_.joint_gradient_norm
                              ? clip_gradient_norm(limit, policy, value)
                              : std::hypot(clip_gradient_norm(limit, policy), clip_gradient_norm(limit, value));
      }
      gradient_step.require_finite_norm(m.gradient_norm, what);
      if (same_object(models_.optimizer, models_.value_optimizer)) {
        models_.optimizer.step(learning_rate);
      } else {
        if (trains_policy(m.step)) models_.optimizer.step(learning_rate);
        models_.value_optimizer.step(learning_rate * options_.value_learning_rate_factor);
      }
    }
  }

  Models models_;
  ppo_options options_;
  PolicyLoss policy_loss_;
  ValueLoss value_loss_;
  kl_loss kl_loss_;
};

}  // namespace coho::inline v0_1::detail
