#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/loss/bradley_terry.hpp>
#include <coho/require.hpp>
#include <coho/rollout/minibatch.hpp>
#include <coho/train/callbacks.hpp>
#include <coho/train/data_order.hpp>
#include <coho/train/gradient_clipping.hpp>
#include <coho/train/learning_rate_schedule.hpp>
#include <coho/train/model_outputs.hpp>

namespace coho {

/// Two answers to one prompt, the preferred one first. The queries refer to text and tokens that the caller keeps.
struct preference_pair {
  reward_query preferred;
  reward_query other;
};

struct reward_model_options {
  learning_rate_options learning_rate{};
  bradley_terry_options loss{};
  std::size_t batch_size = 64;  ///< pairs an optimizer step, over all ranks
  batch_limits micro_batch{};   ///< what one forward may hold; `sequences` counts pairs
  std::uint64_t epochs = 1;
  double gradient_norm_clip = 1;  ///< 0: off
  bool shuffle = true;
  std::uint64_t seed = 0;
};

struct reward_model_statistics {
  std::uint64_t step = 0, epoch = 0;
  double loss = 0;
  double accuracy = 0;  ///< share of pairs with the preferred answer scored higher; a tie counts one half
  double margin = 0;    ///< mean score difference, preferred − other
  double score = 0;     ///< mean score of all answers
  double pairs = 0;     ///< over all ranks
  double gradient_norm = 0, learning_rate = 0, seconds = 0;
};

/// What a checkpoint has to hold beside the model and the optimizer.
struct reward_model_state {
  std::uint64_t step = 0;
  friend bool operator==(const reward_model_state&, const reward_model_state&) = default;
};

/// Trains a reward model on preference pairs with the Bradley–Terry loss (SALMON §3.1, eq. 1, and the options of
/// `bradley_terry_loss`), averaged over all pairs of a batch: micro-batches and ranks do not change the step.
///
/// Throws `option_error` on construction, `argument_error` for scores that do not fit or are not finite, `error` when
/// the gradient is not finite.
///
///     coho::reward_model_trainer trainer{model, optimizer, {.learning_rate = {.peak = 3e-5}, .epochs = 1}};
///     trainer.fit(training_pairs);
///     double accuracy = trainer.evaluate(held_out_pairs).accuracy;
template <class Model, class Optimizer, class Communicator = const local_communicator>
class reward_model_trainer {
  static_assert(require_differentiable_reward_model<Model>() && require_trainable<Model>());
  static_assert(require_optimizer<Optimizer>());
  static_assert(require_communicator<Communicator>());

 public:
  reward_model_trainer(Model& model, Optimizer& optimizer, reward_model_options options = {},
                       Communicator& ranks = local)
      : model_(model),
        optimizer_(optimizer),
        options_(std::move(options)),
        rate_(options_.learning_rate),
        loss_(options_.loss),
        ranks_(ranks) {
    require_option(options_.batch_size > 0, "batch_size", options_.batch_size, "at least 1");
    require_option(options_.epochs > 0, "epochs", options_.epochs, "at least 1");
    require_option(std::isfinite(options_.gradient_norm_clip) && options_.gradient_norm_clip >= 0, "gradient_norm_clip",
                   options_.gradient_norm_clip, "finite and at least 0");
  }

  /// One optimizer step on this rank's part of a batch (it may be empty on some ranks, not on all).
  template <class... Callbacks>
  reward_model_statistics step(std::span<const preference_pair> batch, Callbacks&&... callbacks) {
    static_assert((detail::require_callback<Callbacks, reward_model_statistics>() && ...));
    const auto start = std::chrono::steady_clock::now();
    notify::step_begin(state_.step, callbacks...);
    model_.zero_gradients();
    reward_model_statistics out = pass(batch, [&](std::span<const reward_query> queries, auto use) {
      auto [scores, pullback] = model_.forward(queries);
      const Eigen::ArrayXd d_scores = use(lift_output(scores, queries.size(), "reward model scores"));
      pullback(std::span<const double>(d_scores.data(), queries.size()));
    });
    all_reduce_gradients(ranks_, model_);
    out.step = state_.step;
    out.epoch = epoch_;
    out.learning_rate = rate_(state_.step);
    out.gradient_norm = clip_gradient_norm(options_.gradient_norm_clip, model_);
    if (!std::isfinite(out.gradient_norm)) {
      throw error("reward model step " + std::to_string(state_.step) +
                  ": the gradient is not finite; nothing was changed");
    }
    optimizer_.step(out.learning_rate);
    ++state_.step;
    out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    notify::minibatch(out, callbacks...);
    notify::step_end(out, callbacks...);
    return out;
  }

  /// The steps that are left of `epochs` passes over `data`, which is the same on all ranks: from the start or, after
  /// `restore`, from where the saved run was. Ends early when a callback requests it.
  template <class... Callbacks>
  std::vector<reward_model_statistics> fit(std::span<const preference_pair> data, Callbacks&&... callbacks) {
    data_order order(data.size(), options_.batch_size, options_.seed, options_.shuffle);
    std::vector<reward_model_statistics> history;
    const std::uint64_t end = options_.epochs * order.steps_per_epoch();
    while (state_.step < end) {
      std::vector<preference_pair> batch;
      for (const std::size_t i : order.batch(state_.step, ranks_.rank(), ranks_.size())) batch.push_back(data[i]);
      epoch_ = state_.step / order.steps_per_epoch();
      history.push_back(step(batch, callbacks...));
      if (notify::stop(ranks_, callbacks...)) break;
    }
    return history;
  }

  /// Loss, accuracy and margin over `data` (this rank's part; the result is over all ranks), without a step. Models
  /// without `score` are evaluated by their `forward`.
  reward_model_statistics evaluate(std::span<const preference_pair> data) {
    return pass(data, [&](std::span<const reward_query> queries, auto use) {
      if constexpr (reward_model<Model>) {
        use(lift_output(score_queries(model_, queries), queries.size(), "reward model scores"));
      } else {
        use(lift_output(model_.forward(queries).first, queries.size(), "reward model scores"));
      }
    });
  }

  const reward_model_state& save() const noexcept { return state_; }
  void restore(const reward_model_state& saved) noexcept { state_ = saved; }

 private:
  // Runs over the micro-batches. `evaluate(queries, use)` hands the scores (preferred answers first, then the others)
  // to `use`, which counts them and returns their gradient.
  template <class Evaluate>
  reward_model_statistics pass(std::span<const preference_pair> batch, Evaluate evaluate) {
    double pairs = static_cast<double>(batch.size());
    ranks_.all_reduce_sum(std::span<double>(&pairs, 1));
    require_argument(pairs > 0, "there are no preference pairs in the batch");
    std::vector<std::size_t> lengths;
    for (const auto& pair : batch) {
      lengths.push_back(pair.preferred.prompt_tokens.size() + pair.preferred.response_tokens.size() +
                        pair.other.prompt_tokens.size() + pair.other.response_tokens.size());
    }
    double sums[4] = {};  // loss, right answers, score differences, scores
    for (const auto& indices : micro_batches(lengths, options_.micro_batch)) {
      std::vector<reward_query> queries;
      for (const std::size_t i : indices) queries.push_back(batch[i].preferred);
      for (const std::size_t i : indices) queries.push_back(batch[i].other);
      const auto count = static_cast<Eigen::Index>(indices.size());
      const double share = static_cast<double>(count) / pairs;
      evaluate(std::span<const reward_query>(queries), [&](const Eigen::ArrayXd& scores) {
        const Eigen::ArrayXd preferred = scores.head(count), other = scores.tail(count);
        const auto loss = loss_.value_and_grad(preferred, other);
        sums[0] += loss.value * share;
        sums[1] += ((preferred > other).cast<double>() + 0.5 * (preferred == other).cast<double>()).sum() / pairs;
        sums[2] += (preferred - other).sum() / pairs;
        sums[3] += scores.sum() / (2 * pairs);
        Eigen::ArrayXd d_scores(scores.size());
        d_scores << loss.d_preferred * share, loss.d_other * share;
        return d_scores;
      });
    }
    ranks_.all_reduce_sum(std::span<double>(sums));
    return {.loss = sums[0], .accuracy = sums[1], .margin = sums[2], .score = sums[3], .pairs = pairs};
  }

  Model& model_;
  Optimizer& optimizer_;
  reward_model_options options_;
  learning_rate_schedule rate_;
  bradley_terry_loss loss_;
  Communicator& ranks_;
  reward_model_state state_;
  std::uint64_t epoch_ = 0;
};

}  // namespace coho
