#pragma once

#include <concepts>

#include <coho/loss/detail/logistic.hpp>
#include <coho/loss/detail/pair_result.hpp>
#include <coho/loss/detail/preference_terms.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/inputs/pair_loss_inputs.hpp>
#include <coho/loss/inputs/pair_scores.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct bradley_terry_options {
  double margin = 0;           ///< subtracted from the difference of scores; finite
  double label_smoothing = 0;  ///< ε: probability that a label is wrong; in [0, 0.5)
  double centring = 0;         ///< c in c·(r0 + r1)², which keeps scores about 0; at least 0
  friend bool operator==(const bradley_terry_options&, const bradley_terry_options&) = default;

  static void describe(auto&& visit, auto&... o) {
    visit({"margin", "subtracted from the difference of scores"}, o.margin...);
    visit({"label_smoothing", "ε: probability that a label is wrong", allowed::in_from(0, 0.5)}, o.label_smoothing...);
    visit({"centring", "c in c·(r0 + r1)², which keeps scores about 0", allowed::at_least(0)}, o.centring...);
  }
};

template <class Value, class Array>
struct bradley_terry_result {
  Value value;       ///< the loss
  Array d_chosen;    ///< its gradient with respect to the scores of the chosen responses
  Array d_rejected;  ///< … and of the rejected responses
  Value accuracy;    ///< fraction of pairs that the scores order as the labels do; equal scores count one half
};

/// The preference loss of reward models (Bradley and Terry 1952; Ouyang et al. 2022, eq. 1; SALMON §3.1, eq. 1), over
/// pairs:
///
///     L = Σ_i w_i·[ softplus(−z_i) + (1 − p_i)·z_i + centring·(r_i + s_i)² ],   z_i = r_i − s_i − margin − m_i
///     p_i = t_i·(1 − ε) + (1 − t_i)·ε
///
/// Uses all members of `pair_loss_inputs`: `chosen` r, `rejected` s, `targets` t (none: 1), `margins` m (none: 0) and
/// `weights` (none: the mean); arrays, ranges or tensors. With margins the loss is −log σ(r − s − m) (Touvron et al.
/// 2023, Llama 2, eq. 2): of the first score over the second, so give a pair whose second response is preferred (t = 0)
/// a negative one. Targets and margins are constants; a margin of weight 0 is not read; accuracy leaves margins out.
/// The term is −log σ(z) for p = 1; it neither overflows nor loses small losses. Numbers give the term of one pair.
/// `operator()` returns double, or a 0-d tensor that is differentiable; `value_and_grad` a `bradley_terry_result`.
/// Throws option_error at construction; argument_error when lengths differ or the loss is not finite (host arrays).
///
///     coho::bradley_terry_loss loss{{.margin = 0, .label_smoothing = 0.1}};
///     auto [value, d_chosen, d_rejected, accuracy] = loss.value_and_grad({.chosen = scores, .rejected = others});
///     double fresh = loss(0.0, 0.0);  // ln 2
class bradley_terry_loss {
 public:
  static constexpr bool has_margins = true;

  explicit bradley_terry_loss(const bradley_terry_options& options = {}) : options_(options) { validate(options); }
  const bradley_terry_options& options() const noexcept { return options_; }

  /// One element, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool Gradient, class T>
  element_terms<T, 2, 1> element(const T& chosen, const T& rejected, const T& target, const T& margin) const {
    const double epsilon = options_.label_smoothing, centring = options_.centring;
    const T difference = chosen - rejected, total = chosen + rejected, z = difference - options_.margin - margin;
    const T p = target * (1 - epsilon) + (1 - target) * epsilon;
    element_terms<T, 2, 1> out;
    // 1 − σ(z) is computed as σ(−z): σ(z) rounds to 1 long before its distance from 1 is negligible.
    T slope{};
    if constexpr (std::floating_point<T>) {
      const detail::logistic_terms s = detail::logistic(z);
      out.value = s.softplus_negated + (1 - p) * z + centring * total * total;
      if constexpr (Gradient) slope = (1 - p) * s.sigmoid - p * s.sigmoid_negated;
    } else {
      out.value = coho::softplus(T(-z)) + (1 - p) * z + centring * total * total;
      if constexpr (Gradient) slope = (1 - p) * coho::sigmoid(z) - p * coho::sigmoid(T(-z));
    }
    if constexpr (Gradient) {
      const T pull = 2 * centring * total;
      out.slopes = {T(pull + slope), T(pull - slope)};
      out.measures = {heaviside(T(difference * (2 * target - 1)))};
    }
    return out;
  }

  double operator()(double chosen, double rejected, double target = 1, double margin = 0) const {
    return element<false>(chosen, rejected, target, margin).value;
  }
  template <class Array = double>
  auto operator()(const pair_loss_inputs<Array>& in) const {
    return with_defaults(in, [&](const auto& targets, const auto& margins) {
      return frame.weighted_value(*this, in.weights, in.chosen, in.rejected, targets, margins);
    });
  }
  template <class Array = double>
  auto value_and_grad(const pair_loss_inputs<Array>& in) const {
    return with_defaults(in, [&](const auto& targets, const auto& margins) {
      return detail::pair_result<bradley_terry_result>(
          frame.weighted_value_and_grad(*this, in.weights, in.chosen, in.rejected, targets, margins));
    });
  }

  /// The interface of a pair_loss.
  template <std::same_as<pair_scores> Scores, class Weights>
  pair_gradient value_and_grad(const Scores& scores, const token_weights<Weights>& weights) const {
    const auto result =
        frame.weighted_value_and_grad(*this, weights, scores.chosen, scores.rejected, scores.targets, scores.margins);
    return {result.value, result.gradients[0], result.gradients[1]};
  }

 private:
  static constexpr elementwise_loss<2, 4> frame{"bradley_terry_loss", {"chosen", "rejected", "targets", "margins"}};

  // Calls f with targets and margins, or with the numbers 1 and 0 where they were not given.
  template <class Array, class F>
  static auto with_defaults(const pair_loss_inputs<Array>& in, const F& f) {
    return detail::with_array_or(in.targets, 1.0, [&](const auto& targets) {
      return detail::with_array_or(in.margins, 0.0, [&](const auto& margins) { return f(targets, margins); });
    });
  }

  bradley_terry_options options_;
};

}  // namespace coho::inline v0_1
