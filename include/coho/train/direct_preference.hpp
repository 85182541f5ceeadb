#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
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
#include <coho/loss/cpo.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/kto.hpp>
#include <coho/loss/orpo.hpp>
#include <coho/loss/simpo.hpp>
#include <coho/optimization/gradient_step.hpp>
#include <coho/optimization/learning_rate_schedule.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>
#include <coho/require.hpp>
#include <coho/rollout/micro_batch.hpp>
#include <coho/train/direct_preference_examples.hpp>
#include <coho/train/example_source.hpp>
#include <coho/train/options/direct_preference_options.hpp>
#include <coho/train/steps/callbacks.hpp>
#include <coho/train/steps/loops.hpp>
#include <coho/train/steps/model_outputs.hpp>
#include <coho/train/steps/preference_objective.hpp>
#include <coho/train/steps/stopwatch.hpp>

namespace coho::inline v0_1 {

/// Trains a policy on preferences without a reward model: DPO in its forms, IPO, KTO, ORPO, SimPO, CPO or a loss of
/// the caller's own, in one loop. Each step makes one forward of both responses of its examples, turns the gradient of
/// the loss with respect to log π of whole responses into one for their tokens, and steps once. The weights of examples
/// are normalised over the batch: micro-batches and ranks do not change the step.
///
/// `reference`: the frozen initial policy; `no_reference` for losses without one (ORPO, SimPO, CPO) and for examples
/// that carry its log-probs. KTO's baseline pairs each prompt with the response to the next example of this rank's
/// batch.
///
/// Throws `option_error` on construction, `argument_error` for invalid examples and outputs, `error` when the
/// gradient is not finite.
///
///     coho::direct_preference_trainer trainer{policy, initial, adam, coho::dpo_loss{{.beta = 0.1}}};
///     trainer.fit(examples);
template <class Policy, class Reference, class Optimizer, class Loss, class Communicator = const local_communicator>
class direct_preference_trainer {
  static constexpr bool has_reference = !std::is_same_v<std::remove_const_t<Reference>, no_reference_type>;
  static_assert(require_differentiable_policy<Policy>() && require_trainable<Policy>());
  static_assert(require_optimizer<Optimizer>());
  static_assert([] {
    if constexpr (has_reference) return require_policy<Reference>();
    return true;
  }());
  static_assert(require_preference_loss<Loss>());
  static_assert(require_communicator<Communicator>());

 public:
  direct_preference_trainer(Policy& model, Reference& reference, Optimizer& optimizer, Loss loss,
                            direct_preference_options options = {}, Communicator& ranks = local)
      : model_(model),
        reference_(reference),
        optimizer_(optimizer),
        loss_(std::move(loss)),
        options_(std::move(options)),
        rate_(options_.learning_rate),
        ranks_(ranks) {
    validate(options_);
  }

  /// One optimizer step on this rank's part of a batch (may be empty on some ranks, not on all).
  template <class... Callbacks>
  direct_preference_statistics step(std::span<const direct_preference_example> batch, Callbacks&&... callbacks) {
    return train_step(batch, {batch, 0, 1}, 0, callbacks...);
  }

  /// The remaining steps of `epochs` passes over `data`, which is the same on all ranks: from the start or, after
  /// `restore`, from where the saved run was. Ends early when a callback requests it.
  template <class... Callbacks>
  std::vector<direct_preference_statistics> fit(std::span<const direct_preference_example> data,
                                                Callbacks&&... callbacks) {
    detail::span_source<direct_preference_example> source(data);
    return fit_from(source, callbacks...);
  }

  /// The same over examples that are fetched as needed. Each rank loads its part of a batch; with KTO, whose
  /// baseline pairs prompts with the responses to others, the whole batch.
  template <class Source, class... Callbacks>
    requires(!std::convertible_to<Source&, std::span<const direct_preference_example>>)
  std::vector<direct_preference_statistics> fit(Source& data, Callbacks&&... callbacks) {
    static_assert(require_example_source<Source, direct_preference_example>());
    return fit_from(data, callbacks...);
  }

  /// Loss, accuracy and reward difference over `data` (this rank's part; the result is over all ranks), without a step.
  direct_preference_statistics evaluate(std::span<const direct_preference_example> data) {
    return run_micro_batches(data, {data, 0, 1}, [&](const token_batch& tokens, auto use) {
      use(checked_output(model_.log_probs(tokens), tokens.responses.total(), "log_probs"));
    });
  }

  direct_preference_state save() const noexcept { return {step_, options_.seed, options_.batch_size}; }
  /// Throws `argument_error` for a state with another seed or batch size: it would be a different run.
  void restore(const direct_preference_state& saved) {
    detail::require_same_data_order(saved, options_);
    step_ = saved.step;
  }

 private:
  // `fit` over a source: rank r trains on the examples r, r + ranks, … of each batch.
  template <class Source, class... Callbacks>
  std::vector<direct_preference_statistics> fit_from(Source& data, Callbacks&... callbacks) {
    const auto part = [&]<class Item>(std::span<const Item> whole) {
      std::vector<Item> out;
      for (std::size_t i = ranks_.rank(); i < whole.size(); i += ranks_.size()) out.push_back(whole[i]);
      return out;
    };
    return detail::fit_source(
        static_cast<std::size_t>(data.size()), options_, step_, ranks_,
        [&](const std::vector<std::size_t>& batch, std::uint64_t epoch) {
          const bool all = ranks_.size() == 1 || detail::needs_kl_baseline<Loss>;
          const std::vector<std::size_t> mine = all ? std::vector<std::size_t>{} : part(detail::span_of(batch));
          const auto& loaded = data.load(detail::span_of(all ? batch : mine));
          const std::span<const direct_preference_example> examples(loaded);
          if (!all || ranks_.size() == 1) return train_step(examples, {examples, 0, 1}, epoch, callbacks...);
          const auto own = part(examples);
          return train_step(detail::span_of(own), {examples, ranks_.rank(), ranks_.size()}, epoch, callbacks...);
        },
        callbacks...);
  }

  // One optimizer step on this rank's part of a batch, with the callbacks around it. `place`: where that part is in the
  // whole batch.
  template <class... Callbacks>
  direct_preference_statistics train_step(std::span<const direct_preference_example> batch,
                                          const detail::batch_place& place, std::uint64_t epoch,
                                          Callbacks&... callbacks) {
    static_assert((detail::require_callback<Callbacks, direct_preference_statistics>() && ...));
    detail::stopwatch watch;
    notify::step_begin(step_, callbacks...);
    model_.zero_gradients();
    auto out = run_micro_batches(batch, place, [&](const token_batch& tokens, auto use) {
      auto [output, pullback] = model_.forward(tokens);
      const auto d_log_probs = use(checked_output(output.log_probs, tokens.responses.total(), "log_probs"));
      pullback(policy_gradient{.log_probs = {d_log_probs.data(), tokens.responses.total()}});
    });
    out.step = step_;
    out.epoch = epoch;
    out.learning_rate = rate_(step_);
    out.gradient_norm = gradient_step("direct preference step " + std::to_string(step_), model_, optimizer_,
                                      out.learning_rate, options_.gradient_norm_clip, ranks_);
    ++step_;
    out.seconds = watch.lap();
    notify::minibatch(out, callbacks...);
    notify::step_end(out, callbacks...);
    return out;
  }

  // The number of loss terms of an example.
  static double count_terms(const direct_preference_example& example) {
    if constexpr (detail::needs_pairs<Loss>) return 1;
    return detail::count_responses(example);
  }

  // The loss and statistics of a batch, over its micro-batches and all ranks. `evaluate(tokens, use)` hands the
  // log-probs of all responses, chosen ones first, to `use`, which returns their gradient.
  template <class Evaluate>
  direct_preference_statistics run_micro_batches(std::span<const direct_preference_example> batch,
                                                 const detail::batch_place& place, Evaluate evaluate) {
    for (std::size_t i = 0; i < batch.size(); ++i) detail::check_example(batch[i], i, detail::needs_pairs<Loss>);
    double totals[5] = {
        static_cast<double>(batch.size())};  // examples, weighted terms, terms, chosen, rejected responses
    for (const auto& example : batch) {
      if (example.weight == 0) continue;
      totals[1] += example.weight * count_terms(example);
      totals[2] += count_terms(example);
      totals[3] += example.chosen.empty() ? 0 : 1;
      totals[4] += example.rejected.empty() ? 0 : 1;
    }
    ranks_.all_reduce_sum(detail::span_of(totals));
    require_argument(totals[1] > 0, "a preference batch has no example with a weight above 0");
    direct_preference_statistics out{.examples = totals[0]};
    out.kl_baseline = compute_kl_baseline(place);

    std::vector<std::size_t> lengths;
    for (const auto& e : batch) lengths.push_back(2 * e.prompt.size() + e.chosen.size() + e.rejected.size());
    double sums[5] = {};  // loss, accuracy, reward difference, log-probs of chosen and rejected responses
    for (const auto& indices : micro_batches(detail::span_of(std::as_const(lengths)), options_.micro_batch)) {
      std::vector<direct_preference_example> part;
      double terms = 0;
      for (const std::size_t i : indices) {
        part.push_back(batch[i]);
        terms += batch[i].weight > 0 ? count_terms(batch[i]) : 0;
      }
      const token_batch tokens = detail::chosen_then_rejected(detail::span_of(std::as_const(part)));
      auto x = reference_log_probs(part, tokens);
      x.kl_baseline = out.kl_baseline;
      token_weights<Eigen::ArrayXd> weights{Eigen::ArrayXd(x.chosen_tokens.size())};
      for (std::size_t k = 0; k < part.size(); ++k)
        weights.values(static_cast<Eigen::Index>(k)) = part[k].weight / totals[1];
      evaluate(tokens, [&]<class Array>(const Array& log_probs) {
        const Array responses = sequence_sums(log_probs, tokens.responses.offsets);
        const Eigen::Index n = x.chosen_tokens.size();
        x.chosen = responses.head(n);
        x.rejected = responses.tail(n);
        const auto loss = detail::evaluate_preference_loss(loss_, x, weights);
        sums[0] += loss.value;
        sums[1] += loss.accuracy * terms / totals[2];
        sums[2] += loss.reward_difference * terms / totals[2];
        for (Eigen::Index k = 0; k < n; ++k) {
          if (weights.values(k) <= 0) continue;
          sums[3] += x.chosen(k);
          sums[4] += x.rejected(k);
        }
        Array d_responses(2 * n);
        d_responses << loss.d_chosen, loss.d_rejected;
        return Array(sequence_spread(d_responses, tokens.responses.offsets));
      });
    }
    ranks_.all_reduce_sum(detail::span_of(sums));
    out.loss = sums[0];
    out.accuracy = sums[1];
    out.reward_difference = sums[2];
    out.chosen_log_prob = sums[3] / std::max(totals[3], 1.0);
    out.rejected_log_prob = sums[4] / std::max(totals[4], 1.0);
    return out;
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
    if (!detail::needs_reference<Loss>() || known) return x;
    if constexpr (has_reference) {
      const auto sums = detail::response_log_probs(reference_, tokens, {}, "log_probs of the reference policy");
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

  // z0 of `kto_loss` for a batch, over all ranks; 0 for losses without it.
  double compute_kl_baseline(const detail::batch_place& place) {
    if constexpr (detail::needs_kl_baseline<Loss>) {
      static_assert(has_reference,
                    "coho::direct_preference_trainer: the KL baseline of this loss needs a reference policy");
      const token_batch mismatched = detail::mismatched_responses(place);
      const auto log_probs = [&](auto& model, const char* what) {
        return detail::response_log_probs(model, mismatched, options_.micro_batch, what);
      };
      return kto_baseline(log_probs(model_, "log_probs"), log_probs(reference_, "log_probs of the reference policy"),
                          ranks_);
    } else {
      static_cast<void>(place);
      return 0;
    }
  }

  Policy& model_;
  Reference& reference_;
  Optimizer& optimizer_;
  Loss loss_;
  direct_preference_options options_;
  learning_rate_schedule rate_;
  Communicator& ranks_;
  std::uint64_t step_ = 0;
};

}  // namespace coho::inline v0_1
