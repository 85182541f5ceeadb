#pragma once

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
#include <coho/loss/bradley_terry.hpp>
#include <coho/loss/bradley_terry_ties.hpp>
#include <coho/loss/inputs/pair_scores.hpp>
#include <coho/optimization/gradient_step.hpp>
#include <coho/optimization/learning_rate_schedule.hpp>
#include <coho/options.hpp>
#include <coho/parallel/gradient_sum.hpp>
#include <coho/parallel/shards.hpp>
#include <coho/reduce.hpp>
#include <coho/require.hpp>
#include <coho/rollout/micro_batch.hpp>
#include <coho/train/example_source.hpp>
#include <coho/train/options/reward_model_options.hpp>
#include <coho/train/preference_pair.hpp>
#include <coho/train/steps/callbacks.hpp>
#include <coho/train/steps/loops.hpp>
#include <coho/train/steps/model_outputs.hpp>
#include <coho/train/steps/stopwatch.hpp>

namespace coho::inline v0_1 {

/// pair_loss: the loss of a reward model, such as `bradley_terry_loss` and `bradley_terry_ties_loss`.
///  (1) `l.value_and_grad(scores, weights)`, const, with a `const pair_scores&` and a
///      `const token_weights<Eigen::ArrayXd>&` of one weight per pair, returns a `pair_gradient`.
///  (2) The loss is a sum over pairs weighted by `weights`: micro-batches add up.
///  (3) Optional: `static constexpr bool has_margins = true` where it reads `scores.margins`; without it pairs with a
///      margin are rejected.
template <class Loss>
concept pair_loss = requires(const Loss& l, const pair_scores& x, const token_weights<Eigen::ArrayXd>& w) {
  { l.value_and_grad(x, w) } -> std::convertible_to<pair_gradient>;
};

/// A compile error that names what a pair_loss needs.
template <class Loss>
consteval bool require_pair_loss() {
  static_assert(pair_loss<Loss>,
                "coho::pair_loss (1): the loss has no value_and_grad(const pair_scores&, const "
                "token_weights<Eigen::ArrayXd>&) const that returns a coho::pair_gradient");
  return true;
}

/// Trains a reward model on preference pairs with the Bradley–Terry loss (SALMON §3.1, eq. 1, and the options of
/// `bradley_terry_loss`), averaged over all pairs of a batch: micro-batches and ranks do not change the step. Another
/// pair_loss may be the last argument: `bradley_terry_ties_loss` where annotators could declare a tie.
///
/// Throws `option_error` on construction, `argument_error` for scores that do not fit or are not finite, `error` when
/// the gradient is not finite.
///
///     coho::reward_model_trainer trainer{model, optimizer, {.learning_rate = {.peak = 3e-5}, .epochs = 1}};
///     trainer.fit(training_pairs);
///     double accuracy = trainer.evaluate(held_out_pairs).accuracy;
template <class Model, class Optimizer, class Communicator = const local_communicator, class Loss = bradley_terry_loss>
class reward_model_trainer {
  static_assert(require_pair_loss<Loss>());
  static_assert(require_differentiable_reward_model<Model>() && require_trainable<Model>());
  static_assert(require_optimizer<Optimizer>());
  static_assert(require_communicator<Communicator>());
  static constexpr bool has_margins = requires { requires Loss::has_margins; };

 public:
  reward_model_trainer(Model& model, Optimizer& optimizer, reward_model_options options = {},
                       Communicator& ranks = local)
      : reward_model_trainer(model, optimizer, options, ranks, bradley_terry_loss(options.loss)) {}
  reward_model_trainer(Model& model, Optimizer& optimizer, reward_model_options options, Communicator& ranks, Loss loss)
      : model_(model),
        optimizer_(optimizer),
        options_(std::move(options)),
        rate_(options_.learning_rate),
        loss_(std::move(loss)),
        ranks_(ranks) {
    validate(options_);
    require_option(std::is_same_v<Loss, bradley_terry_loss> || options_.loss == bradley_terry_options{}, "loss", "set",
                   "left as it is where another pair loss is given");
  }

  /// One optimizer step on this rank's part of a batch (may be empty on some ranks, not on all).
  template <class... Callbacks>
  reward_model_statistics step(std::span<const preference_pair> batch, Callbacks&&... callbacks) {
    return train_step(batch, local_plan(detail::all_indices(batch.size()), ranks_), count_pairs(batch), 0,
                      callbacks...);
  }

  /// The remaining steps of `epochs` passes over `data`, which is the same on all ranks: from the start or, after
  /// `restore`, from where the saved run was. Ends early when a callback requests it.
  template <class... Callbacks>
  std::vector<reward_model_statistics> fit(std::span<const preference_pair> data, Callbacks&&... callbacks) {
    detail::span_source<preference_pair> source(data);
    return fit_from(source, callbacks...);
  }

  /// The same over pairs that are fetched as needed: each rank loads those of its shards.
  template <class Source, class... Callbacks>
    requires(!std::convertible_to<Source&, std::span<const preference_pair>>)
  std::vector<reward_model_statistics> fit(Source& data, Callbacks&&... callbacks) {
    static_assert(require_example_source<Source, preference_pair>());
    return fit_from(data, callbacks...);
  }

  /// Loss, accuracy and score difference over `data` (this rank's part; the result is over all ranks), without a step.
  /// Models without `score` are evaluated by their `forward`.
  reward_model_statistics evaluate(std::span<const preference_pair> data) {
    return evaluate(data, local_plan(detail::all_indices(data.size()), ranks_), count_pairs(data));
  }
  /// The same over `data` that is the same on all ranks: each rank evaluates its shards.
  reward_model_statistics evaluate_shared(std::span<const preference_pair> data) {
    return evaluate(data, plan_shards(data), static_cast<double>(data.size()));
  }

  reward_model_state save() const noexcept { return {step_, options_.seed, options_.batch_size}; }
  /// Throws `argument_error` for a state with another seed or batch size: it would be a different run.
  void restore(const reward_model_state& saved) {
    detail::require_same_data_order(saved, options_);
    step_ = saved.step;
  }

 private:
  // `fit` over a source. Pairs in memory are assigned to shards by their lengths, others before they are loaded.
  template <class Source, class... Callbacks>
  std::vector<reward_model_statistics> fit_from(Source& data, Callbacks&... callbacks) {
    return detail::fit_source(
        static_cast<std::size_t>(data.size()), options_, step_, ranks_,
        [&](const std::vector<std::size_t>& batch, std::uint64_t epoch) {
          const auto pairs = static_cast<double>(batch.size());
          if constexpr (detail::in_memory<Source>) {
            const auto examples = data.load(detail::span_of(batch));
            return train_step(examples, plan_shards(examples), pairs, epoch, callbacks...);
          } else {
            auto [work, mine] = detail::plan_loading(batch, ranks_);
            const auto& examples = data.load(detail::span_of(std::as_const(mine)));
            return train_step(examples, work, pairs, epoch, callbacks...);
          }
        },
        callbacks...);
  }

  // One optimizer step, with the callbacks around it. `pairs`: of the whole batch, over all ranks.
  template <class... Callbacks>
  reward_model_statistics train_step(std::span<const preference_pair> batch, const work_plan& work, double pairs,
                                     std::uint64_t epoch, Callbacks&... callbacks) {
    static_assert((detail::require_callback<Callbacks, reward_model_statistics>() && ...));
    detail::stopwatch watch;
    notify::step_begin(step_, callbacks...);
    gradient_sum gradients(ranks_, work.shards, model_);
    reward_model_statistics out =
        run_shards(batch, work, pairs, gradients, [&](std::span<const reward_query> queries, auto use) {
          auto [scores, pullback] = model_.forward(queries);
          const auto d_scores = use(checked_output(scores, queries.size(), "reward model scores"));
          pullback(detail::span_of(std::as_const(d_scores).data(), queries.size()));
        });
    gradients.all_reduce();
    out.step = step_;
    out.epoch = epoch;
    out.learning_rate = rate_(step_);
    out.gradient_norm = gradient_step("reward model step " + std::to_string(step_), model_, optimizer_,
                                      out.learning_rate, options_.gradient_norm_clip);
    ++step_;
    out.seconds = watch.lap();
    notify::minibatch(out, callbacks...);
    notify::step_end(out, callbacks...);
    return out;
  }

  // The statistics of this rank's shards of `pairs` pairs, without gradients.
  reward_model_statistics evaluate(std::span<const preference_pair> data, const work_plan& work, double pairs) {
    const detail::no_gradient_sum none;
    return run_shards(data, work, pairs, none, [&](std::span<const reward_query> queries, auto use) {
      if constexpr (reward_model<Model>) {
        use(checked_output(score_queries(model_, queries), queries.size(), "reward model scores"));
      } else {
        use(checked_output(model_.forward(queries).first, queries.size(), "reward model scores"));
      }
    });
  }

  // The number of pairs of all ranks, given this rank's.
  double count_pairs(std::span<const preference_pair> mine) {
    double pairs = static_cast<double>(mine.size());
    ranks_.all_reduce_sum(detail::span_of(&pairs, 1));
    return pairs;
  }

  // The tokens of both queries of each pair, for the limits of a forward.
  static std::vector<std::size_t> pair_lengths(std::span<const preference_pair> batch) {
    std::vector<std::size_t> out;
    for (const auto& pair : batch) {
      out.push_back(pair.chosen.prompt_tokens.size() + pair.chosen.response_tokens.size() +
                    pair.rejected.prompt_tokens.size() + pair.rejected.response_tokens.size());
    }
    return out;
  }

  // This rank's shards of a batch that all ranks have.
  work_plan plan_shards(std::span<const preference_pair> batch) {
    const auto lengths = pair_lengths(batch);
    return partition(detail::all_indices(batch.size()), detail::span_of(lengths), ranks_);
  }

  // The loss and statistics of a batch: runs over the micro-batches of this rank's shards, and sums over all ranks.
  // `evaluate(queries, use)` hands the scores (chosen answers first, then the rejected ones) to `use`, which counts
  // them and returns their gradient.
  template <class Gradients, class Evaluate>
  reward_model_statistics run_shards(std::span<const preference_pair> batch, const work_plan& work, double pairs,
                                     Gradients& gradients, Evaluate evaluate) {
    require_argument(pairs > 0, "there are no preference pairs in the batch");
    for (std::size_t i = 0; i < batch.size(); ++i) {
      require_argument(batch[i].target >= 0 && batch[i].target <= 1,
                       "the target of preference pair " + std::to_string(i) + " is not in [0, 1]");
      require_argument(std::isfinite(batch[i].loss_margin) && (has_margins || batch[i].loss_margin == 0),
                       "the loss_margin of preference pair " + std::to_string(i) +
                           (has_margins ? " is not finite" : " is not 0: this pair loss has no margins"));
    }
    const auto lengths = pair_lengths(batch);
    shard_sums<4> all(work.shards);
    for (const auto& shard : work.mine) {
      gradients.begin_shard(shard.number);
      for (const auto& indices : micro_batches(shard.indices, detail::span_of(lengths), options_.micro_batch))
        run_micro_batch(batch, indices, pairs, all.shard(shard.number), evaluate);
      gradients.end_shard();
    }
    gradients.end_forwards();
    const auto sums = all.total(ranks_);
    return {.loss = sums[0],
            .accuracy = sums[1] / pairs,
            .score_difference = sums[2] / pairs,
            .score = sums[3] / pairs,
            .pairs = pairs};
  }

  // One forward over the pairs at `indices`. Adds to the four `sums`: loss, pairs ordered right, score differences,
  // scores.
  template <class Evaluate>
  void run_micro_batch(std::span<const preference_pair> batch, const std::vector<std::size_t>& indices, double pairs,
                       double* sums, Evaluate& evaluate) {
    std::vector<reward_query> queries;
    for (const std::size_t i : indices) queries.push_back(batch[i].chosen);
    for (const std::size_t i : indices) queries.push_back(batch[i].rejected);
    const auto count = static_cast<Eigen::Index>(indices.size());
    evaluate(detail::span_of(std::as_const(queries)), [&]<class Scores>(const Scores& scores) {
      pair_scores x{.chosen = scores.head(count),
                    .rejected = scores.tail(count),
                    .targets = Scores(count),
                    .margins = Scores(count)};
      for (Eigen::Index k = 0; k < count; ++k) {
        const auto& pair = batch[indices[static_cast<std::size_t>(k)]];
        x.targets(k) = pair.target;
        x.margins(k) = pair.loss_margin;
      }
      const pair_gradient loss = loss_.value_and_grad(x, token_weights<Scores>{Scores::Constant(count, 1 / pairs)});
      require_argument(std::isfinite(loss.value), "the value of the pair loss is not finite");
      sums[0] += loss.value;
      for (Eigen::Index k = 0; k < count; ++k) {
        const double difference = (2 * x.targets(k) - 1) * (x.chosen(k) - x.rejected(k));
        sums[1] += difference > 0 ? 1 : difference == 0 ? 0.5 : 0;
        sums[2] += difference;
      }
      sums[3] += scores.sum() / 2;
      Scores d_scores(scores.size());
      d_scores << checked_output(loss.d_chosen, indices.size(), "d_chosen of the pair loss"),
          checked_output(loss.d_rejected, indices.size(), "d_rejected of the pair loss");
      return d_scores;
    });
  }

  Model& model_;
  Optimizer& optimizer_;
  reward_model_options options_;
  learning_rate_schedule rate_;
  Loss loss_;
  Communicator& ranks_;
  std::uint64_t step_ = 0;
};

}  // namespace coho::inline v0_1
