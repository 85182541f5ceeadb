#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

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
#include <coho/parallel/gradient_sum.hpp>
#include <coho/parallel/shards.hpp>
#include <coho/require.hpp>
#include <coho/train/detail/direct_preference_objective.hpp>
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
/// that carry its log-probs. KTO's baseline pairs each prompt with the response to the next example of the batch.
///
/// Throws `option_error` on construction, `argument_error` for invalid examples and outputs, `error` when the
/// gradient is not finite.
///
///     coho::direct_preference_trainer trainer{policy, initial, adam, coho::dpo_loss{{.beta = 0.1}}};
///     trainer.fit(examples);
template <class Policy, class Reference, class Optimizer, class Loss, class Communicator = const local_communicator>
class direct_preference_trainer {
  static_assert(require_differentiable_policy<Policy>() && require_trainable<Policy>());
  static_assert(require_optimizer<Optimizer>());
  static_assert([] {
    if constexpr (detail::is_reference<Reference>) return require_policy<Reference>();
    return true;
  }());
  static_assert(require_preference_loss<Loss>());
  static_assert(require_communicator<Communicator>());
  static_assert(detail::is_reference<Reference> || !detail::always_needs_kl_baseline<Loss>,
                "coho::direct_preference_trainer: the KL baseline of this loss needs a reference policy");

 public:
  direct_preference_trainer(Policy& model, Reference& reference, Optimizer& optimizer, Loss loss,
                            direct_preference_options options = {}, Communicator& ranks = local)
      : model_(model),
        optimizer_(optimizer),
        options_(std::move(options)),
        rate_(options_.learning_rate),
        ranks_(ranks),
        objective_(model, reference, std::move(loss), options_.micro_batch, ranks) {
    validate(options_);
  }

  /// One optimizer step on this rank's part of a batch (may be empty on some ranks, not on all). KTO's baseline then
  /// pairs examples of one rank.
  template <class... Callbacks>
  direct_preference_statistics step(std::span<const direct_preference_example> batch, Callbacks&&... callbacks) {
    return train_step(batch, local_plan(detail::all_indices(batch.size()), ranks_), 0, callbacks...);
  }

  /// The remaining steps of `epochs` passes over `data`, which is the same on all ranks: from the start or, after
  /// `restore`, from where the saved run was. Ends early when a callback requests it.
  template <class... Callbacks>
  std::vector<direct_preference_statistics> fit(std::span<const direct_preference_example> data,
                                                Callbacks&&... callbacks) {
    detail::span_source<direct_preference_example> source(data);
    return fit_from(source, callbacks...);
  }

  /// The same over examples that are fetched as needed. Each rank loads those of its shards; with KTO, whose baseline
  /// pairs prompts with the responses to others, the whole batch.
  template <class Source, class... Callbacks>
    requires(!std::convertible_to<Source&, std::span<const direct_preference_example>>)
  std::vector<direct_preference_statistics> fit(Source& data, Callbacks&&... callbacks) {
    static_assert(require_example_source<Source, direct_preference_example>());
    return fit_from(data, callbacks...);
  }

  /// Loss, accuracy and reward difference over `data` (this rank's part; the result is over all ranks), without a step.
  direct_preference_statistics evaluate(std::span<const direct_preference_example> data) {
    return evaluate(data, local_plan(detail::all_indices(data.size()), ranks_));
  }
  /// The same over `data` that is the same on all ranks: each rank evaluates its shards.
  direct_preference_statistics evaluate_shared(std::span<const direct_preference_example> data) {
    return evaluate(data, objective_.plan_shards(data));
  }

  direct_preference_state save() const noexcept { return {step_, options_.seed, options_.batch_size}; }
  /// Throws `argument_error` for a state with another seed or batch size: it would be a different run.
  void restore(const direct_preference_state& saved) {
    detail::require_same_data_order(saved, options_);
    step_ = saved.step;
  }

 private:
  using example_span = std::span<const direct_preference_example>;

  // `fit` over a source. Examples in memory are assigned to shards by their lengths, others before they are loaded.
  template <class Source, class... Callbacks>
  std::vector<direct_preference_statistics> fit_from(Source& data, Callbacks&... callbacks) {
    return detail::fit_source(
        static_cast<std::size_t>(data.size()), options_, step_, ranks_,
        [&](const std::vector<std::size_t>& batch, std::uint64_t epoch) {
          if (!detail::in_memory<Source> && !objective_.needs().kl_baseline) {
            auto [work, mine] = detail::plan_loading(batch, ranks_);
            const auto& loaded = data.load(detail::span_of(std::as_const(mine)));
            return train_step(loaded, work, epoch, callbacks...);
          }
          const auto& loaded = data.load(detail::span_of(batch));
          return train_step(loaded, objective_.plan_shards(loaded), epoch, callbacks...);
        },
        callbacks...);
  }

  // One optimizer step, with the callbacks around it. `batch`: the whole one, or what this rank loaded of it, as `work`
  // indexes it; `epoch`: only reported.
  template <class... Callbacks>
  direct_preference_statistics train_step(example_span batch, const work_plan& work, std::uint64_t epoch,
                                          Callbacks&... callbacks) {
    static_assert((detail::require_callback<Callbacks, direct_preference_statistics>() && ...));
    detail::stopwatch watch;
    notify::step_begin(step_, callbacks...);
    gradient_sum gradients(ranks_, work.shards, model_);
    auto out = objective_.run_shards(batch, work, gradients, [&](const token_batch& tokens, auto use) {
      auto [output, pullback] = model_.forward(tokens);
      const auto d_log_probs = use(checked_output(output.log_probs, tokens.responses.total(), "log_probs"));
      pullback(policy_gradient{.log_probs = {d_log_probs.data(), tokens.responses.total()}});
    });
    gradients.all_reduce();
    out.step = step_;
    out.epoch = epoch;
    out.learning_rate = rate_(step_);
    out.gradient_norm = gradient_step("direct preference step " + std::to_string(step_), model_, optimizer_,
                                      out.learning_rate, options_.gradient_norm_clip);
    ++step_;
    out.seconds = watch.lap();
    notify::minibatch(out, callbacks...);
    notify::step_end(out, callbacks...);
    return out;
  }

  // The statistics of this rank's shards, without gradients.
  direct_preference_statistics evaluate(example_span data, const work_plan& work) {
    const detail::no_gradient_sum none;
    return objective_.run_shards(data, work, none, [&](const token_batch& tokens, auto use) {
      use(checked_output(model_.log_probs(tokens), tokens.responses.total(), "log_probs"));
    });
  }

  Policy& model_;
  Optimizer& optimizer_;
  direct_preference_options options_;
  learning_rate_schedule rate_;
  Communicator& ranks_;
  detail::direct_preference_objective<Policy, Reference, Loss, Communicator> objective_;
  std::uint64_t step_ = 0;
};

}  // namespace coho::inline v0_1
