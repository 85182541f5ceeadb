#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/toy/context_table.hpp>

namespace coho::inline v0_1::toy {

struct tabular_policy_options {
  std::size_t vocabulary = 2;
  std::size_t order = 1;  ///< how many tokens of context a row of logits depends on
  token end = 0;          ///< the end token
  double temperature = 1;
  std::vector<token> banned{};  ///< tokens of probability 0
};

/// A softmax language model with one row of logits per context: causal_lm, differentiable_policy and trainable.
///
/// log p(y | c) = z_{c,y} / τ − log Σ_{v not banned} exp(z_{c,v} / τ), with temperature τ and logits z; gradients in
/// closed form: d log p(y | c) / d z_{c,v} = (1[v = y] − p(v | c)) / τ. The initial zero logits are the uniform policy.
///
/// `tabular_policy` has logits of double.
///
///     coho::toy::tabular_policy policy{{.vocabulary = 4, .order = 2}};
///     policy.logits(2, policy.contexts().context_after(prompt)) = 1.5;
template <std::floating_point Number>
class basic_tabular_policy {
  using array = Eigen::Array<std::common_type_t<Number, double>, Eigen::Dynamic, 1>;

 public:
  struct output {
    std::vector<double> log_probs, entropy;
  };

  explicit basic_tabular_policy(tabular_policy_options options)
      : options_(std::move(options)), table_(options_.vocabulary, options_.order) {
    allowed_.setOnes(static_cast<Eigen::Index>(options_.vocabulary));
    const auto inside = [&](token t) { return t >= 0 && static_cast<std::size_t>(t) < options_.vocabulary; };
    require_option(inside(options_.end), "end", options_.end, "in the vocabulary");
    require_option(std::isfinite(options_.temperature) && options_.temperature > 0, "temperature", options_.temperature,
                   "finite and greater than 0");
    for (const token t : options_.banned) {
      require_option(inside(t), "banned", t, "in the vocabulary");
      allowed_(t) = 0;
    }
    require_option(allowed_.sum() > 0, "banned", options_.banned.size(), "fewer than the vocabulary");
    logits.setZero(static_cast<Eigen::Index>(options_.vocabulary), static_cast<Eigen::Index>(table_.contexts()));
    gradient.setZero(logits.rows(), logits.cols());
  }

  const tabular_policy_options& options() const noexcept { return options_; }
  const context_table& contexts() const noexcept { return table_; }

  /// p(· | context): tempered, banned tokens at 0.
  array probabilities(std::size_t context) const {
    const auto column = static_cast<Eigen::Index>(context);
    array p(logits.rows());
    double most = -std::numeric_limits<double>::infinity(), sum = 0;
    for (Eigen::Index v = 0; v < p.size(); ++v) {
      p(v) = static_cast<double>(logits(v, column)) / options_.temperature;
      if (allowed_(v) > 0) most = std::max(most, p(v));
    }
    for (Eigen::Index v = 0; v < p.size(); ++v) {
      p(v) = allowed_(v) > 0 ? std::exp(p(v) - most) : 0.0;
      sum += p(v);
    }
    for (double& x : p) x /= sum;
    return p;
  }

  /// One per response token, nats.
  std::vector<double> log_probs(const token_batch& batch) const {
    return evaluate(batch, table_.response_contexts(batch)).log_probs;
  }

  /// Log-probabilities and entropies (nats) per response token, and a pullback that adds to `gradient`; the batch need
  /// not outlive it.
  auto forward(const token_batch& batch) {
    auto contexts = table_.response_contexts(batch);
    output out = evaluate(batch, contexts);
    auto pullback = [this, contexts = std::move(contexts),
                     tokens = batch.responses.values](const policy_gradient& seed) {
      for (std::size_t t = 0; t < tokens.size(); ++t) {
        const array p = probabilities(contexts[t]);
        array d = array::Zero(p.size());  // with respect to logits / temperature
        if (!seed.log_probs.empty()) {
          d -= seed.log_probs[t] * p;
          d(tokens[t]) += seed.log_probs[t];
        }
        if (!seed.entropy.empty()) {
          // H = −Σ p log p; dH/dz_v = −p_v (log p_v + H).
          const array log_p = (p > 0).select(p.max(std::numeric_limits<double>::min()).log(), 0.0);
          d -= seed.entropy[t] * p * (log_p - (p * log_p).sum());
        }
        gradient.col(static_cast<Eigen::Index>(contexts[t])).array() +=
            (d / options_.temperature).template cast<Number>();
      }
    };
    return std::pair{std::move(out), std::move(pullback)};
  }

  /// Samples. The options' temperature and banned tokens must equal the model's, or the temperature be 0 (greedy),
  /// since the recorded log-probabilities are those of `log_probs`. Throws `argument_error` otherwise, and for top-k,
  /// top-p and stop strings, which this model does not support.
  generation generate(const packed<token>& prompts, const generation_options& sampling, std::span<rng> streams) const {
    const bool greedy = sampling.temperature == 0;
    require_argument(streams.size() == prompts.size(), "generate needs one rng per prompt");
    require_argument(greedy || sampling.temperature == options_.temperature,
                     "the sampling temperature " + std::to_string(sampling.temperature) +
                         " is not that of the model's log-probabilities, " + std::to_string(options_.temperature));
    require_argument(sampling.banned == options_.banned, "the banned tokens of sampling are not those of the model");
    require_argument(
        sampling.top_k == 0 && sampling.top_p == 1 && sampling.stop.empty() && sampling.unfinished_stop.empty(),
        "tabular_policy samples without top_k, top_p and stop strings");
    generation out;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      std::vector<token> response;
      std::vector<float> log_probs;
      std::size_t context = table_.context_after(prompts[i]);
      bool ended = false;
      while (!ended && response.size() < sampling.max_new_tokens) {
        const array p = probabilities(context);
        const token chosen = greedy ? arg_max(p) : draw(p, streams[i].uniform());
        response.push_back(chosen);
        log_probs.push_back(static_cast<float>(std::log(p(chosen))));
        ended = chosen == options_.end;
        context = table_.next_context(context, chosen);
      }
      out.responses.push_back(response);
      out.log_probs.push_back(log_probs);
      out.finished.push_back(ended);
    }
    return out;
  }

  void zero_gradients() { gradient.setZero(); }
  std::array<std::span<Number>, 1> gradients() {
    return {detail::span_of(gradient.data(), static_cast<std::size_t>(gradient.size()))};
  }
  std::array<std::span<Number>, 1> parameters() {
    return {detail::span_of(logits.data(), static_cast<std::size_t>(logits.size()))};
  }

  Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic> logits, gradient;  ///< [vocabulary, contexts]

 private:
  // log p and entropy of each response token in its context. Throws `argument_error` for a banned token.
  output evaluate(const token_batch& batch, const std::vector<std::size_t>& contexts) const {
    output out;
    for (std::size_t t = 0; t < contexts.size(); ++t) {
      const array p = probabilities(contexts[t]);
      const token y = batch.responses.values[t];
      require_argument(p(y) > 0, "token " + std::to_string(y) + " is banned but occurs in a response");
      out.log_probs.push_back(std::log(p(y)));
      double entropy = 0;
      for (const double value : p) entropy -= value > 0 ? value * std::log(value) : 0.0;
      out.entropy.push_back(entropy);
    }
    return out;
  }
  // The lowest id among the most probable tokens.
  static token arg_max(const array& p) {
    Eigen::Index best = 0;
    p.maxCoeff(&best);
    return static_cast<token>(best);
  }
  // The token at which the cumulative probability passes u, uniform on [0, 1).
  static token draw(const array& p, double u) {
    token last = 0;
    for (Eigen::Index v = 0; v < p.size(); ++v) {
      if (p(v) <= 0) continue;
      last = static_cast<token>(v);
      if (u < p(v)) return last;
      u -= p(v);
    }
    return last;  // rounding left a sliver at the top
  }

  tabular_policy_options options_;
  context_table table_;
  array allowed_;
};

using tabular_policy = basic_tabular_policy<double>;

}  // namespace coho::inline v0_1::toy
