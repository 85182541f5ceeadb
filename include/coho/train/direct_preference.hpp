#pragma once

#include <chrono>
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
#include <coho/error.hpp>
#include <coho/reduce.hpp>
#include <coho/require.hpp>
#include <coho/rollout/minibatch.hpp>
#include <coho/train/callbacks.hpp>
#include <coho/train/direct_preference_examples.hpp>
#include <coho/train/gradient_step.hpp>
#include <coho/train/learning_rate_schedule.hpp>
#include <coho/train/loops.hpp>
#include <coho/train/model_outputs.hpp>
#include <coho/train/preference_objective.hpp>

namespace coho {

struct direct_preference_options {
  learning_rate_options learning_rate{.peak = 5e-7};
  std::size_t batch_size = 64;  ///< examples an optimizer step, over all ranks
  batch_limits micro_batch{};   ///< what one forward may hold; `sequences` counts examples, two responses each
  std::uint64_t epochs = 1;
  double gradient_norm_clip = 1;  ///< 0: off
  bool shuffle = true;
  std::uint64_t seed = 0;
};

struct direct_preference_statistics {
  std::uint64_t step = 0, epoch = 0;
  double loss = 0;
  double accuracy = 0;  ///< share of examples whose implicit rewards are ordered as the labels are
  double margin = 0;    ///< mean difference of the implicit rewards
  double preferred_log_prob = 0, other_log_prob = 0;  ///< mean log π of whole responses, nats
  double kl_baseline = 0;                             ///< of KTO
  double examples = 0;                                ///< over all ranks
  double gradient_norm = 0, learning_rate = 0, seconds = 0;
};

/// What a checkpoint has to hold beside the model and the optimizer.
struct direct_preference_state {
  std::uint64_t step = 0;
  friend bool operator==(const direct_preference_state&, const direct_preference_state&) = default;
};

/// Learns a policy from preferences without a reward model: DPO in its forms, IPO, KTO, ORPO, SimPO, CPO or a loss of
/// the caller's own, on one loop. Each step makes one forward of both responses of its examples, turns the gradient of
/// the loss with respect to log π of whole responses into one of their tokens, and steps once. The weights of examples
/// are normalised over the batch: micro-batches and ranks do not change the step.
///
/// `reference`: the frozen initial policy; `no_reference` for losses without one (ORPO, SimPO, CPO) and for examples
/// that carry its log-probs. KTO's baseline comes from each prompt with the response to the next example of this rank's
/// batch.
///
/// Throws `option_error` on construction, `argument_error` for examples and outputs that do not fit, `error` when the
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
    detail::validate_fit_options(options_);
  }

  /// One optimizer step on this rank's part of a batch (it may be empty on some ranks, not on all).
  template <class... Callbacks>
  direct_preference_statistics step(std::span<const direct_preference_example> batch, Callbacks&&... callbacks) {
    return step_of(batch, 0, callbacks...);
  }

  /// The steps that are left of `epochs` passes over `data`, which is the same on all ranks: from the start or, after
  /// `restore`, from where the saved run was. Ends early when a callback requests it.
  template <class... Callbacks>
  std::vector<direct_preference_statistics> fit(std::span<const direct_preference_example> data,
                                                Callbacks&&... callbacks) {
    return detail::fit_data(
        data, options_, state_.step, ranks_,
        [&](const std::vector<direct_preference_example>& batch, std::uint64_t epoch) {
          return step_of(batch, epoch, callbacks...);
        },
        callbacks...);
  }

  /// Loss, accuracy and margin over `data` (this rank's part; the result is over all ranks), without a step.
  direct_preference_statistics evaluate(std::span<const direct_preference_example> data) {
    return pass(data, [&](const token_batch& tokens, auto use) {
      use(lift_output(model_.log_probs(tokens), tokens.responses.total(), "log_probs"));
    });
  }

  const direct_preference_state& save() const noexcept { return state_; }
  void restore(const direct_preference_state& saved) noexcept { state_ = saved; }

 private:
  template <class... Callbacks>
  direct_preference_statistics step_of(std::span<const direct_preference_example> batch, std::uint64_t epoch,
                                       Callbacks&... callbacks) {
    static_assert((detail::require_callback<Callbacks, direct_preference_statistics>() && ...));
    const auto start = std::chrono::steady_clock::now();
    notify::step_begin(state_.step, callbacks...);
    model_.zero_gradients();
    auto out = pass(batch, [&](const token_batch& tokens, auto use) {
      auto [output, pullback] = model_.forward(tokens);
      const Eigen::ArrayXd d_log_probs = use(lift_output(output.log_probs, tokens.responses.total(), "log_probs"));
      pullback(policy_gradient{.log_probs = {d_log_probs.data(), tokens.responses.total()}});
    });
    out.step = state_.step;
    out.epoch = epoch;
    out.learning_rate = rate_(state_.step);
    out.gradient_norm = gradient_step("direct preference step " + std::to_string(state_.step), model_, optimizer_,
                                      out.learning_rate, options_.gradient_norm_clip, ranks_);
    ++state_.step;
    out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    notify::minibatch(out, callbacks...);
    notify::step_end(out, callbacks...);
    return out;
  }

  // How many terms of the loss an example makes.
  static double terms_of(const direct_preference_example& example) {
    if constexpr (detail::needs_pairs<Loss>) return 1;
    return static_cast<double>(!example.preferred.empty()) + static_cast<double>(!example.other.empty());
  }

  void check(std::span<const direct_preference_example> batch) const {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto& example = batch[i];
      const std::string name = "preference example " + std::to_string(i);
      require_argument(!example.prompt.empty(), name + " has no prompt tokens");
      require_argument(std::isfinite(example.weight) && example.weight >= 0, name + " has a weight below 0");
      const bool pair = !example.preferred.empty() && !example.other.empty();
      require_argument(
          pair || (!detail::needs_pairs<Loss> && terms_of(example) > 0),
          name + (detail::needs_pairs<Loss> ? " has an empty response: this loss compares two" : " has no response"));
    }
  }

  // Runs over the micro-batches. `evaluate(tokens, use)` hands the log-probs of all responses, preferred ones first, to
  // `use`, which returns their gradient.
  template <class Evaluate>
  direct_preference_statistics pass(std::span<const direct_preference_example> batch, Evaluate evaluate) {
    check(batch);
    double totals[3] = {static_cast<double>(batch.size()), 0, 0};  // examples, weighted terms, terms
    for (const auto& example : batch) {
      totals[1] += example.weight * terms_of(example);
      totals[2] += example.weight > 0 ? terms_of(example) : 0;
    }
    ranks_.all_reduce_sum(std::span<double>(totals));
    require_argument(totals[1] > 0, "a preference batch has no example with a weight above 0");
    direct_preference_statistics out{.examples = totals[0]};
    out.kl_baseline = baseline_of(batch);

    std::vector<std::size_t> lengths;
    for (const auto& e : batch) lengths.push_back(2 * e.prompt.size() + e.preferred.size() + e.other.size());
    double sums[5] = {};  // loss, accuracy, margin, log-probs of preferred and other responses
    for (const auto& indices : micro_batches(lengths, options_.micro_batch)) {
      std::vector<direct_preference_example> part;
      double terms = 0;
      for (const std::size_t i : indices) {
        part.push_back(batch[i]);
        terms += batch[i].weight > 0 ? terms_of(batch[i]) : 0;
      }
      const token_batch tokens = detail::responses_of(part);
      auto x = reference_of(part, tokens);
      x.kl_baseline = out.kl_baseline;
      token_weights<Eigen::ArrayXd> weights{Eigen::ArrayXd(x.preferred_tokens.size())};
      for (std::size_t k = 0; k < part.size(); ++k)
        weights.values(static_cast<Eigen::Index>(k)) = part[k].weight / totals[1];
      evaluate(tokens, [&](const Eigen::ArrayXd& log_probs) {
        const Eigen::ArrayXd responses = sequence_sums(log_probs, tokens.responses.offsets);
        const Eigen::Index n = x.preferred_tokens.size();
        x.preferred = responses.head(n);
        x.other = responses.tail(n);
        const auto loss = detail::evaluate_preference(loss_, x, weights);
        sums[0] += loss.value;
        sums[1] += loss.accuracy * terms / totals[2];
        sums[2] += loss.margin * terms / totals[2];
        sums[3] += x.preferred.sum() / totals[0];
        sums[4] += x.other.sum() / totals[0];
        Eigen::ArrayXd d_responses(2 * n);
        d_responses << loss.d_preferred, loss.d_other;
        return Eigen::ArrayXd(sequence_spread(d_responses, tokens.responses.offsets));
      });
    }
    ranks_.all_reduce_sum(std::span<double>(sums));
    out.loss = sums[0];
    out.accuracy = sums[1];
    out.margin = sums[2];
    out.preferred_log_prob = sums[3];
    out.other_log_prob = sums[4];
    return out;
  }

  // Lengths, and what the reference says of the responses.
  preference_log_probs reference_of(const std::vector<direct_preference_example>& part, const token_batch& tokens) {
    const auto n = static_cast<Eigen::Index>(part.size());
    preference_log_probs x;
    x.preferred_tokens.resize(n);
    x.other_tokens.resize(n);
    x.reference_preferred = x.reference_other = Eigen::ArrayXd::Zero(n);
    bool known = true;
    for (Eigen::Index i = 0; i < n; ++i) {
      const auto& example = part[static_cast<std::size_t>(i)];
      x.preferred_tokens(i) = static_cast<double>(example.preferred.size());
      x.other_tokens(i) = static_cast<double>(example.other.size());
      x.reference_preferred(i) = example.reference_preferred.value_or(0);
      x.reference_other(i) = example.reference_other.value_or(0);
      known = known && (example.reference_preferred || example.preferred.empty()) &&
              (example.reference_other || example.other.empty());
    }
    if (!detail::needs_reference<Loss>() || known) return x;
    if constexpr (has_reference) {
      const Eigen::ArrayXd sums =
          detail::response_log_probs(reference_, tokens, {}, "log_probs of the reference policy");
      x.reference_preferred = sums.head(n);
      x.reference_other = sums.tail(n);
    } else {
      throw argument_error("this preference loss needs a reference policy, or examples that carry its log-probs");
    }
    return x;
  }

  // Of KTO: each prompt with the response to the next example.
  double baseline_of(std::span<const direct_preference_example> batch) {
    if constexpr (std::is_same_v<Loss, kto_loss>) {
      static_assert(has_reference, "coho::direct_preference_trainer: KTO's baseline needs a reference policy");
      token_batch mismatched;
      for (std::size_t i = 0; batch.size() > 1 && i < batch.size(); ++i) {
        const auto& next = batch[(i + 1) % batch.size()];
        mismatched.prompts.push_back(batch[i].prompt);
        mismatched.responses.push_back(next.preferred.empty() ? next.other : next.preferred);
      }
      return kto_baseline(
          detail::response_log_probs(model_, mismatched, options_.micro_batch, "log_probs"),
          detail::response_log_probs(reference_, mismatched, options_.micro_batch, "log_probs of the reference policy"),
          ranks_);
    } else {
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
  direct_preference_state state_;
};

}  // namespace coho
