#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/parallel/shards.hpp>
#include <coho/rng.hpp>
#include <coho/rollout/minibatch.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/ppo_options.hpp>
#include <coho/train/steps/callbacks.hpp>
#include <coho/train/steps/minibatch_update.hpp>
#include <coho/train/steps/ppo_statistics.hpp>

namespace coho::inline v0_1::detail {

/// The second half of a step of every on-policy driver: `epochs` passes over shuffled minibatches of evaluated
/// rollouts, each of which is one `minibatch_update`.
template <class Models, class PolicyLoss, class ValueLoss>
class policy_update {
 public:
  policy_update(const Models& models, const ppo_options& options, PolicyLoss policy_loss, ValueLoss value_loss)
      : models_(models),
        options_(options),
        minibatch_(models, options, std::move(policy_loss), std::move(value_loss)) {}

  /// `rollouts`: all ranks' and the same on each with scope `global`, this rank's with `each_rank`. `chosen`: those
  /// to learn from. If all ranks have none, nothing happens.
  template <class... Callbacks>
  void operator()(const trajectory_batch& rollouts, const std::vector<std::size_t>& chosen, std::uint64_t step,
                  ppo_statistics& out, Callbacks&... callbacks) {
    double count = static_cast<double>(chosen.size());
    if (!global_scope()) models_.ranks.all_reduce_sum(span_of(&count, 1));
    if (count == 0) return;
    const token_batch value_batch = rollouts.value_batch();
    const auto lengths = sequence_lengths(rollouts.batch);
    std::vector<std::uint64_t> keys;
    for (const std::size_t i : chosen) keys.push_back(rollouts.prompts[i].key);
    const rng stream = rng(options_.seed).split(step).split(stream_key("minibatches"));
    double tokens = 0, entropy = 0;
    bool first = true;
    for (std::uint64_t epoch = 0; epoch < options_.epochs && !out.stopped_by_kl; ++epoch) {
      std::uint64_t number = 0;
      for (auto& indices : cut_minibatches(keys, stream.split(epoch))) {
        for (std::size_t& i : indices) i = chosen[i];
        minibatch_statistics m{.step = step, .epoch = epoch, .minibatch = number++};
        count_sequences(indices, rollouts.batch.responses, m);
        const work_plan work =
            global_scope() ? partition(indices, span_of(lengths), models_.ranks) : local_plan(indices, models_.ranks);
        minibatch_(rollouts, value_batch, work, span_of(lengths), out.learning_rate, m);
        if (m.applied) {
          out.gradient_norm += m.gradient_norm;
          ++out.optimizer_steps;
        }
        if (std::exchange(first, false)) out.first_ratio_deviation = m.ratio_deviation;
        tokens += m.tokens;
        entropy += m.entropy * m.tokens;
        out.policy_loss += m.policy_loss * m.tokens;
        out.kl_loss += m.kl_loss * m.tokens;
        out.value_loss += m.value_loss * m.tokens;
        out.clip_fraction += m.clip_fraction * m.tokens;
        out.value_clip_fraction += m.value_clip_fraction * m.tokens;
        out.approximate_kl += m.approximate_kl * m.tokens;
        for (const auto& shard : work.mine) {
          for (const std::size_t i : shard.indices) out.phase_tokens.update += static_cast<double>(lengths[i]);
        }
        notify::minibatch(m, callbacks...);
        if (!m.applied) {
          out.stopped_by_kl = true;
          break;
        }
      }
    }
    const double per_token = tokens > 0 ? 1 / tokens : 0;
    if (minibatch_.has_entropy && minibatch_.trains_policy(step)) out.entropy = entropy * per_token;
    out.policy_loss *= per_token;
    out.kl_loss *= per_token;
    out.value_loss *= per_token;
    out.clip_fraction *= per_token;
    out.value_clip_fraction *= per_token;
    out.approximate_kl *= per_token;
    if (out.optimizer_steps > 0) out.gradient_norm /= static_cast<double>(out.optimizer_steps);
  }

 private:
  // Whether all ranks hold the same rollouts and one shuffle cuts them.
  bool global_scope() const noexcept { return options_.scope == minibatch_scope::global; }

  // Positions in `keys` of this rank's part of each minibatch of an epoch.
  std::vector<std::vector<std::size_t>> cut_minibatches(const std::vector<std::uint64_t>& keys,
                                                        const rng& stream) const {
    if (global_scope()) return minibatches(keys, options_.minibatch_size, stream);
    return minibatches(keys, options_.minibatch_size, stream, options_.scope, models_.ranks);
  }

  // Fills in the sequences and response tokens of a minibatch, over all ranks.
  void count_sequences(const std::vector<std::size_t>& indices, const packed<token>& responses,
                       minibatch_statistics& m) {
    double counts[2] = {static_cast<double>(indices.size()), 0};
    for (const std::size_t i : indices) counts[1] += static_cast<double>(responses.length(i));
    if (!global_scope()) models_.ranks.all_reduce_sum(span_of(counts));
    m.sequences = counts[0];
    m.tokens = counts[1];
  }

  Models models_;
  ppo_options options_;
  minibatch_update<Models, PolicyLoss, ValueLoss> minibatch_;
};

}  // namespace coho::inline v0_1::detail
