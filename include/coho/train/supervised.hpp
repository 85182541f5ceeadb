#pragma once

#include <cmath>
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
#include <coho/loss/nll.hpp>
#include <coho/optimization/gradient_step.hpp>
#include <coho/optimization/learning_rate_schedule.hpp>
#include <coho/options.hpp>
#include <coho/parallel/gradient_sum.hpp>
#include <coho/parallel/shards.hpp>
#include <coho/reduce.hpp>
#include <coho/require.hpp>
#include <coho/rollout/micro_batch.hpp>
#include <coho/train/example_source.hpp>
#include <coho/train/options/fit_options.hpp>
#include <coho/train/steps/callbacks.hpp>
#include <coho/train/steps/loops.hpp>
#include <coho/train/steps/model_outputs.hpp>
#include <coho/train/steps/stopwatch.hpp>

namespace coho::inline v0_1 {

/// A prompt and the response to imitate. `token_weights`: one weight ≥ 0 per response token; empty: all 1.
struct supervised_example {
  std::vector<token> prompt{};
  std::vector<token> response{};
  std::vector<double> token_weights{};
};

struct supervised_options {
  learning_rate_options learning_rate{};
  std::size_t batch_size = 32;  ///< examples per optimizer step, over all ranks
  batch_limits micro_batch{};   ///< what one forward may hold
  std::uint64_t epochs = 1;
  double gradient_norm_clip = 1;  ///< 0: off
  bool shuffle = true;
  std::uint64_t seed = 0;

  static void describe(auto&& visit, auto&... o) { detail::describe_fit_options(visit, "examples", o...); }
};

struct supervised_statistics {
  std::uint64_t step = 0, epoch = 0;
  double loss = 0;         ///< nats per (weighted) response token
  double weight = 0;       ///< the sum of the token weights, over all ranks
  std::size_t tokens = 0;  ///< response tokens, over all ranks
  double gradient_norm = 0, learning_rate = 0, seconds = 0;
};

using supervised_state = data_position;

/// Supervised fine-tuning: minimises −Σ_t w_t log p(y_t | x, y_<t) / Σ_t w_t over the response tokens of a batch.
///
/// The sums run over the whole batch, all micro-batches and all ranks: how a batch is cut into forwards does not change
/// the step (a mean of means would favour tokens of short micro-batches).
///
/// Throws `option_error` on construction, `argument_error` for invalid examples and outputs, `error` when the
/// gradient is not finite.
///
///     coho::supervised_trainer trainer{policy, optimizer, {.learning_rate = {.peak = 1e-2}, .epochs = 3}};
///     for (const auto& statistics : trainer.fit(examples)) std::cout << statistics.loss << '\n';
template <class Policy, class Optimizer, class Communicator = const local_communicator>
class supervised_trainer {
  static_assert(require_differentiable_policy<Policy>() && require_trainable<Policy>());
  static_assert(require_optimizer<Optimizer>());
  static_assert(require_communicator<Communicator>());

 public:
  supervised_trainer(Policy& model, Optimizer& optimizer, supervised_options options = {}, Communicator& ranks = local)
      : model_(model),
        optimizer_(optimizer),
        options_(std::move(options)),
        rate_(options_.learning_rate),
        ranks_(ranks) {
    validate(options_);
  }

  /// One optimizer step on this rank's part of a batch (may be empty on some ranks, not on all).
  template <class... Callbacks>
  supervised_statistics step(std::span<const supervised_example> batch, Callbacks&&... callbacks) {
    return train_step(batch, local_plan(detail::all_indices(batch.size()), ranks_), reduce_weight(batch), 0,
                      callbacks...);
  }

  /// The remaining steps of `epochs` passes over `data`, which is the same on all ranks: from the start or, after
  /// `restore`, from where the saved run was. Ends early when a callback requests it.
  template <class... Callbacks>
  std::vector<supervised_statistics> fit(std::span<const supervised_example> data, Callbacks&&... callbacks) {
    detail::span_source<supervised_example> source(data);
    return fit_from(source, callbacks...);
  }

  /// The same over examples that are fetched as needed: each rank loads those of its shards.
  template <class Source, class... Callbacks>
    requires(!std::convertible_to<Source&, std::span<const supervised_example>>)
  std::vector<supervised_statistics> fit(Source& data, Callbacks&&... callbacks) {
    static_assert(require_example_source<Source, supervised_example>());
    return fit_from(data, callbacks...);
  }

  /// The loss over `data` (this rank's part), without a step. Nats per weighted token, over all ranks.
  double evaluate(std::span<const supervised_example> data) {
    const double weight = reduce_weight(data);
    require_argument(weight > 0, "no response token with a weight above 0 to evaluate");
    double loss = 0;
    for (const auto& part : cut_micro_batches(data, detail::all_indices(data.size()), weight)) {
      const auto log_probs = checked_output(model_.log_probs(part.tokens), part.tokens.responses.total(), "log_probs");
      loss += nll_loss{}(log_probs, part.weights);
    }
    ranks_.all_reduce_sum(detail::span_of(&loss, 1));
    return loss;
  }

  supervised_state save() const noexcept { return {step_, options_.seed, options_.batch_size}; }
  /// Throws `argument_error` for a state with another seed or batch size: it would be a different run.
  void restore(const supervised_state& saved) {
    detail::require_same_data_order(saved, options_);
    step_ = saved.step;
  }

 private:
  // `fit` over a source. Examples in memory are assigned to shards by their lengths, others before they are loaded.
  template <class Source, class... Callbacks>
  std::vector<supervised_statistics> fit_from(Source& data, Callbacks&... callbacks) {
    return detail::fit_source(
        static_cast<std::size_t>(data.size()), options_, step_, ranks_,
        [&](const std::vector<std::size_t>& batch, std::uint64_t epoch) {
          if constexpr (detail::in_memory<Source>) {
            const auto examples = data.load(detail::span_of(batch));
            const auto lengths = example_lengths(examples);
            const auto work = partition(detail::all_indices(batch.size()), detail::span_of(lengths), ranks_);
            return train_step(examples, work, sum_weights(examples), epoch, callbacks...);
          } else {
            auto [work, mine] = detail::plan_loading(batch, ranks_);
            const auto& loaded = data.load(detail::span_of(std::as_const(mine)));
            const std::span<const supervised_example> examples(loaded);
            return train_step(examples, work, reduce_weight(examples), epoch, callbacks...);
          }
        },
        callbacks...);
  }

  // One optimizer step, with the callbacks around it. `batch`: the whole one, or what this rank loaded of it, as `work`
  // indexes it; `weight`: of the whole batch, over all ranks; `epoch`: only reported.
  template <class... Callbacks>
  supervised_statistics train_step(std::span<const supervised_example> batch, const work_plan& work, double weight,
                                   std::uint64_t epoch, Callbacks&... callbacks) {
    static_assert((detail::require_callback<Callbacks, supervised_statistics>() && ...));
    detail::stopwatch watch;
    notify::step_begin(step_, callbacks...);
    supervised_statistics out{.step = step_, .learning_rate = rate_(step_)};
    out.epoch = epoch;
    out.weight = weight;
    require_argument(out.weight > 0, "a supervised batch has no response token with a weight above 0");

    gradient_sum gradients(ranks_, work.shards, model_);
    shard_sums<2> sums(work.shards);  // loss, tokens
    for (const auto& shard : work.mine) {
      gradients.begin_shard(shard.number);
      for (const auto& part : cut_micro_batches(batch, shard.indices, out.weight)) {
        auto [output, pullback] = model_.forward(part.tokens);
        const auto log_probs = checked_output(output.log_probs, part.tokens.responses.total(), "log_probs");
        const auto loss = nll_loss{}.value_and_grad(log_probs, part.weights);
        pullback(policy_gradient{.log_probs = {loss.d_log_probs.data(), part.tokens.responses.total()}});
        sums.shard(shard.number)[0] += loss.value;
        sums.shard(shard.number)[1] += static_cast<double>(part.tokens.responses.total());
      }
      gradients.end_shard();
    }
    gradients.end_forwards();
    const auto [total_loss, tokens] = sums.total(ranks_);
    out.loss = total_loss;
    out.tokens = static_cast<std::size_t>(tokens);
    gradients.all_reduce();
    out.gradient_norm = gradient_step("supervised step " + std::to_string(step_), model_, optimizer_, out.learning_rate,
                                      options_.gradient_norm_clip);
    ++step_;
    out.seconds = watch.lap();
    notify::minibatch(out, callbacks...);
    notify::step_end(out, callbacks...);
    return out;
  }

  // What one forward gets, and the weights of its response tokens as fractions of the whole batch's.
  struct micro_batch_input {
    token_batch tokens;
    token_weights<std::vector<double>> weights;
  };

  // The sum of the token weights over all ranks, given this rank's part of a batch.
  double reduce_weight(std::span<const supervised_example> batch) {
    double total = sum_weights(batch);
    ranks_.all_reduce_sum(detail::span_of(&total, 1));
    return total;
  }

  // The sum of these examples' token weights. Throws argument_error for weights that do not fit the response, are
  // negative or not finite.
  static double sum_weights(std::span<const supervised_example> batch) {
    double total = 0;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto& weights = batch[i].token_weights;
      require_argument(weights.empty() || weights.size() == batch[i].response.size(),
                       "example " + std::to_string(i) + " has " + std::to_string(weights.size()) +
                           " token weights for " + std::to_string(batch[i].response.size()) + " response tokens");
      if (weights.empty()) total += static_cast<double>(batch[i].response.size());
      for (const double w : weights) {
        require_argument(std::isfinite(w) && w >= 0, "example " + std::to_string(i) + " has a token weight below 0");
        total += w;
      }
    }
    return total;
  }

  // The tokens of each example, prompt included, for the limits of a forward.
  static std::vector<std::size_t> example_lengths(std::span<const supervised_example> batch) {
    std::vector<std::size_t> out;
    for (const auto& example : batch) out.push_back(example.prompt.size() + example.response.size());
    return out;
  }

  // The chosen examples, cut within the limits of a forward. `total_weight`: that of the whole batch, over all ranks.
  std::vector<micro_batch_input> cut_micro_batches(std::span<const supervised_example> batch,
                                                   const std::vector<std::size_t>& chosen, double total_weight) const {
    const std::vector<std::size_t> lengths = example_lengths(batch);
    std::vector<micro_batch_input> out;
    for (const auto& indices : micro_batches(chosen, detail::span_of(lengths), options_.micro_batch)) {
      micro_batch_input part;
      for (const std::size_t i : indices) {
        part.tokens.prompts.push_back(batch[i].prompt);
        part.tokens.responses.push_back(batch[i].response);
        for (std::size_t t = 0; t < batch[i].response.size(); ++t) {
          const double weight = batch[i].token_weights.empty() ? 1.0 : batch[i].token_weights[t];
          part.weights.values.push_back(weight / total_weight);
        }
      }
      out.push_back(std::move(part));
    }
    return out;
  }

  Policy& model_;
  Optimizer& optimizer_;
  supervised_options options_;
  learning_rate_schedule rate_;
  Communicator& ranks_;
  std::uint64_t step_ = 0;
};

}  // namespace coho::inline v0_1
