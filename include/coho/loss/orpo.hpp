#pragma once

#include <cmath>
#include <concepts>

#include <coho/error.hpp>
#include <coho/loss/detail/logistic.hpp>
#include <coho/loss/detail/pair_result.hpp>
#include <coho/loss/detail/preference_terms.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/inputs/preference_log_probs.hpp>
#include <coho/loss/inputs/preference_loss_inputs.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct orpo_options {
  double lambda = 0.1;  ///< weight of the odds-ratio term; at least 0

  static void describe(auto&& visit, auto&... o) {
    visit({"lambda", "weight of the odds-ratio term", allowed::at_least(0)}, o.lambda...);
  }
};

template <class Value, class Array>
struct orpo_result {
  Value value;       ///< the loss
  Array d_chosen;    ///< its gradient with respect to the mean log-probs of the chosen responses
  Array d_rejected;  ///< … and of the rejected responses
  Value accuracy;    ///< fraction of pairs whose chosen response has the larger odds; ties count one half
  Value margin;      ///< mean of the log odds ratio z
};

/// Odds-ratio preference optimisation (Hong et al. 2024, eqs. 3–7): supervised fine-tuning on the chosen response
/// and a penalty on the odds of the rejected one, in one step, without a reference policy:
///
///     L = Σ_i w_i·(−ℓ_w − λ·log σ(z_i)),   z_i = log odds(ℓ_w) − log odds(ℓ_l),   log odds(ℓ) = ℓ − log(1 − e^ℓ)
///
/// Uses `chosen` ℓ_w, `rejected` ℓ_l and `weights` of `preference_loss_inputs`: the MEAN log-prob of a response's
/// tokens (e^ℓ is a per-token probability); arrays, ranges or tensors. Without weights the loss is the mean. Two
/// numbers give the term of one pair. A response of probability 1 has infinite odds: above −1e-6 a log-prob counts as
/// −1e-6 in the odds (of a million), and has no gradient through them. `operator()` returns double, or a 0-d tensor
/// that is differentiable; `value_and_grad` an `orpo_result`. Throws option_error at construction; argument_error when
/// lengths differ, the loss is not finite or, beyond rounding, a log-prob is positive (numbers and host arrays).
///
///     coho::orpo_loss loss{{.lambda = 0.1}};
///     auto result = loss.value_and_grad({.chosen = chosen_means, .rejected = rejected_means});
///     double equal = coho::orpo_loss{{.lambda = 1}}(-2.0, -2.0);  // 2 + ln 2
class orpo_loss {
 public:
  static constexpr bool needs_reference = false;

  explicit orpo_loss(const orpo_options& options = {}) : options_(options) { validate(options); }
  const orpo_options& options() const noexcept { return options_; }

  static constexpr bool by_blocks = true;

  /// One element, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool Gradient, class T>
  element_terms<T, 2, 2> element(const T& chosen, const T& rejected) const {
    const log_odds<Gradient, T> of_chosen(chosen), of_rejected(rejected);
    const T z = of_chosen.value - of_rejected.value;
    element_terms<T, 2, 2> out;
    T cost{}, wrong{};  // −log σ(z), and its derivative times −1
    if constexpr (std::floating_point<T>) {
      const detail::logistic_terms s = detail::logistic(z);
      cost = s.softplus_negated;
      wrong = s.sigmoid_negated;
    } else if constexpr (requires { logistic(z); }) {
      const auto s = logistic(z);
      cost = s.softplus_negated;
      wrong = s.sigmoid_negated;
    } else {
      cost = coho::softplus(T(-z));
      if constexpr (Gradient) wrong = coho::sigmoid(T(-z));
    }
    out.value = options_.lambda * cost - chosen;
    if constexpr (Gradient) {
      const T pull = options_.lambda * wrong;
      out.slopes = {T(-1.0 - pull * of_chosen.slope), T(pull * of_rejected.slope)};
      out.measures = {heaviside(z), z};
    }
    return out;
  }

  double operator()(double chosen, double rejected) const { return element<false>(chosen, rejected).value; }
  template <class Array = double>
  auto operator()(const preference_loss_inputs<Array>& in) const {
    return frame.weighted_value(*this, in.weights, in.chosen, in.rejected);
  }
  template <class Array = double>
  auto value_and_grad(const preference_loss_inputs<Array>& in) const {
    return detail::pair_result<orpo_result>(frame.weighted_value_and_grad(*this, in.weights, in.chosen, in.rejected));
  }

  /// The interface of a preference_loss, over the means of the responses.
  template <std::same_as<preference_log_probs> Known, class Weights>
  preference_gradient value_and_grad(const Known& known, const token_weights<Weights>& weights) const {
    return detail::evaluate_on_means(known, [&](const auto& chosen, const auto& rejected) {
      return frame.weighted_value_and_grad(*this, weights, chosen, rejected);
    });
  }

 private:
  static constexpr elementwise_loss<2, 2> frame{"orpo_loss", {"chosen", "rejected"}};
  static constexpr double largest = -1e-6;  // the log-prob of odds of a million

  // log odds of a mean log-prob ℓ, and with `Gradient` its derivative 1 / (1 − e^ℓ). Throws argument_error for ℓ >
  // 1e-6.
  template <bool Gradient, class T>
  struct log_odds {
    T value;
    T slope{};

    explicit log_odds(const T& log_prob) {
      using std::expm1, std::log;
      if constexpr (std::floating_point<T>) {
        if (log_prob > -largest) throw argument_error("orpo_loss: a log-prob is greater than 0");
      }
      const T limited = coho::where(log_prob > largest, T(0.0 * log_prob + largest), log_prob);
      const T rest = -expm1(limited);
      value = limited - log(rest);
      if constexpr (Gradient) slope = coho::where(log_prob > largest, T(0.0 * rest), T(1.0 / rest));
    }
  };

  orpo_options options_;
};

}  // namespace coho::inline v0_1
