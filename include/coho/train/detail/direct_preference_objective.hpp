#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/loss/inputs/preference_log_probs.hpp>
#include <coho/parallel/shards.hpp>
#include <coho/reduce.hpp>
#include <coho/rollout/micro_batch.hpp>
#include <coho/train/direct_preference_examples.hpp>
#include <coho/train/options/direct_preference_options.hpp>
#include <coho/train/steps/loops.hpp>
#include <coho/train/steps/preference_objective.hpp>

namespace coho::inline v0_1::detail {

template <class Reference>
inline constexpr bool is_reference = !std::is_same_v<std::remove_const_t<Reference>, no_reference_type>;

/// What `direct_preference_trainer` minimises, over the shards of a batch. The models are referred to.
template <class Policy, class Reference, class Loss, class Communicator>
class direct_preference_objective {
 public:
  using example_span = std::span<const direct_preference_example>;

  /// Throws `argument_error` where the loss needs a reference for its KL baseline, and there is none.
  direct_preference_objective(Policy& model, Reference& reference, Loss loss, const batch_limits& micro_batch,
                              Communicator& ranks)
      : model_(model),
        reference_(reference),
        loss_(std::move(loss)),
        needs_(needs_of(loss_)),
        micro_batch_(micro_batch),
        ranks_(ranks) {
    require_argument(is_reference<Reference> || !needs_.kl_baseline,
                     "the KL baseline of this preference loss needs a reference policy");
  }

  const preference_needs& needs() const noexcept { return needs_; }

  /// This rank's shards of a batch that all ranks have.
  work_plan plan_shards(example_span batch) {
    const auto lengths = example_lengths(batch);
    return partition(all_indices(batch.size()), span_of(lengths), ranks_);
  }

  /// The loss and statistics of a batch: runs over the micro-batches of this rank's shards, and sums over all ranks.
  /// `evaluate(tokens, use)` hands the log-probs of all responses, chosen ones first, to `use`, which returns their
  /// gradient.
  template <class Gradients, class Evaluate>
  direct_preference_statistics run_shards(example_span batch, const work_plan& work, Gradients& gradients,
                                          Evaluate evaluate) {
    for (std::size_t i = 0; i < batch.size(); ++i) check_example(batch[i], i, needs_.pairs);
    const batch_counts counts = count_batch(batch, work);
    require_argument(counts.weighted_terms > 0, "a preference batch has no example with a weight above 0");
    const double kl_baseline = compute_kl_baseline(batch, work);
    const auto lengths = example_lengths(batch);
    shard_sums<5> all(work.shards);
    for (const auto& shard : work.mine) {
      gradients.begin_shard(shard.number);
      for (const auto& indices : micro_batches(shard.indices, span_of(lengths), micro_batch_)) {
        std::vector<direct_preference_example> part;
        for (const std::size_t i : indices) part.push_back(batch[i]);
        run_micro_batch(part, counts, kl_baseline, all.shard(shard.number), evaluate);
      }
      gradients.end_shard();
    }
    gradients.end_forwards();
    const auto sums = all.total(ranks_);
    return {.loss = sums[0],
            .accuracy = sums[1],
            .reward_difference = sums[2],
            .chosen_log_prob = sums[3] / std::max(counts.chosen, 1.0),
            .rejected_log_prob = sums[4] / std::max(counts.rejected, 1.0),
            .kl_baseline = kl_baseline,
            .examples = counts.examples,
            .tokens = counts.tokens};
  }

 private:
  // The tokens of both sequences of each example, for the limits of a forward.
  static std::vector<std::size_t> example_lengths(example_span batch) {
    std::vector<std::size_t> out;
    for (const auto& e : batch) out.push_back(2 * e.prompt.size() + e.chosen.size() + e.rejected.size());
    return out;
  }

  // The number of loss terms of an example that has a weight.
  double count_terms(const direct_preference_example& example) const {
    return example.weight == 0 ? 0 : needs_.pairs ? 1 : count_responses(example);
  }

  // Counts over all ranks, of a whole batch. All but `examples` leave out examples of weight 0.
  struct batch_counts {
    double examples, weighted_terms, terms, chosen, rejected, tokens;
  };
  batch_counts count_batch(example_span batch, const work_plan& work) {
    shard_sums<6> all(work.shards);
    for (const auto& shard : work.mine) {
      double* sums = all.shard(shard.number);
      for (const std::size_t i : shard.indices) {
        const auto& example = batch[i];
        sums[0] += 1;
        sums[1] += example.weight * count_terms(example);
        sums[2] += count_terms(example);
        sums[3] += example.weight == 0 || example.chosen.empty() ? 0 : 1;
        sums[4] += example.weight == 0 || example.rejected.empty() ? 0 : 1;
        sums[5] += static_cast<double>(example.chosen.size() + example.rejected.size());
      }
    }
    const auto sums = all.total(ranks_);
    return {sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]};
  }

  // One forward over these examples. Adds to the five `sums`: loss, accuracy, reward difference, log-probs of chosen
  // and of rejected responses.
  template <class Evaluate>
  void run_micro_batch(const std::vector<direct_preference_example>& part, const batch_counts& counts,
                       double kl_baseline, double* sums, Evaluate& evaluate) {
    const token_batch tokens = chosen_then_rejected(span_of(part));
    auto x = reference_log_probs(part, tokens);
    x.kl_baseline = kl_baseline;
    const Eigen::Index n = x.chosen_tokens.size();
    token_weights<Eigen::ArrayXd> weights{Eigen::ArrayXd(n)};
    double terms = 0;
    for (std::size_t k = 0; k < part.size(); ++k) {
      weights.values(static_cast<Eigen::Index>(k)) = part[k].weight / counts.weighted_terms;
      terms += count_terms(part[k]);
    }
    evaluate(tokens, [&]<class Array>(const Array& log_probs) {
      const Array responses = sequence_sums(log_probs, tokens.responses.offsets);
      x.chosen = responses.head(n);
      x.rejected = responses.tail(n);
      const auto loss = evaluate_preference_loss(loss_, x, weights);
      sums[0] += loss.value;
      sums[1] += loss.accuracy * terms / counts.terms;
      sums[2] += loss.reward_difference * terms / counts.terms;
      sums[3] += (weights.values > 0).select(x.chosen, 0).sum();
      sums[4] += (weights.values > 0).select(x.rejected, 0).sum();
      Array d_responses(2 * n);
      d_responses << loss.d_chosen, loss.d_rejected;
      return Array(sequence_spread(d_responses, tokens.responses.offsets));
    });
  }

  // The lengths and the reference's log-probs of the responses in `tokens`, chosen ones first; the policy's are left
  // empty. The reference is evaluated only where an example does not carry them. Throws argument_error if there is
  // none.
  preference_log_probs reference_log_probs(const std::vector<direct_preference_example>& part,
                                           const token_batch& tokens) {
    const auto n = static_cast<Eigen::Index>(part.size());
    preference_log_probs x;
    x.chosen_tokens.resize(n);
    x.rejected_tokens.resize(n);
    x.reference_chosen.setZero(n);
    x.reference_rejected.setZero(n);
    bool known = true;
    for (Eigen::Index i = 0; i < n; ++i) {
      const auto& example = part[static_cast<std::size_t>(i)];
      x.chosen_tokens(i) = static_cast<double>(example.chosen.size());
      x.rejected_tokens(i) = static_cast<double>(example.rejected.size());
      x.reference_chosen(i) = example.reference_chosen.value_or(0);
      x.reference_rejected(i) = example.reference_rejected.value_or(0);
      known = known && (example.reference_chosen || example.chosen.empty()) &&
              (example.reference_rejected || example.rejected.empty());
    }
    if (!needs_.reference || known) return x;
    if constexpr (is_reference<Reference>) {
      const auto sums = response_log_probs(reference_, tokens, {}, "log_probs of the reference policy");
      for (Eigen::Index i = 0; i < n; ++i) {
        const auto& example = part[static_cast<std::size_t>(i)];
        if (!example.reference_chosen) x.reference_chosen(i) = sums(i);
        if (!example.reference_rejected) x.reference_rejected(i) = sums(n + i);
      }
    } else {
      throw argument_error("this preference loss needs a reference policy, or examples that carry its log-probs");
    }
    return x;
  }

  // z0 of `kto_loss` for a batch, over all ranks; 0 for losses without it. As `kto_baseline`, with sums per shard.
  double compute_kl_baseline(example_span batch, const work_plan& work) {
    if constexpr (is_reference<Reference>) {
      if (!needs_.kl_baseline) return 0;
      shard_sums<2> all(work.shards);  // of the log-ratios, and their number
      for (const auto& shard : work.mine) {
        const token_batch mismatched = mismatched_responses(batch, shard.indices);
        const auto sum = [&](auto& model, const char* what) {
          return response_log_probs(model, mismatched, micro_batch_, what).sum();
        };
        double* sums = all.shard(shard.number);
        sums[0] += sum(model_, "log_probs") - sum(reference_, "log_probs of the reference policy");
        sums[1] += static_cast<double>(mismatched.size());
      }
      const auto [log_ratios, count] = all.total(ranks_);
      return count > 0 ? std::max(log_ratios / count, 0.0) : 0;
    } else {
      return 0;
    }
  }

  Policy& model_;
  Reference& reference_;
  Loss loss_;
  preference_needs needs_;
  batch_limits micro_batch_;
  Communicator& ranks_;
};

}  // namespace coho::inline v0_1::detail
