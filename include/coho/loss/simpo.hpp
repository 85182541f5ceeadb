#pragma once

#include <concepts>

#include <coho/loss/detail/pair_result.hpp>
#include <coho/loss/detail/preference_terms.hpp>
#include <coho/loss/dpo_form.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/inputs/preference_log_probs.hpp>
#include <coho/loss/inputs/preference_loss_inputs.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct simpo_options {
  double beta = 2;             ///< scale of the implicit reward; > 0
  double gamma = 0.5;          ///< γ, the margin that the chosen response must win by; at least 0
  double label_smoothing = 0;  ///< ε: probability that a label is wrong; in [0, 0.5)

  static void describe(auto&& visit, auto&... o) {
    visit({"beta", "scale of the implicit reward", allowed::above(0)}, o.beta...);
    visit({"gamma", "γ: margin that the better response must win by", allowed::at_least(0)}, o.gamma...);
    visit({"label_smoothing", "ε: probability that a label is wrong", allowed::in_from(0, 0.5)}, o.label_smoothing...);
  }
};

template <class Value, class Array>
struct simpo_result {
  Value value;       ///< the loss
  Array d_chosen;    ///< its gradient with respect to the mean log-probs of the chosen responses
  Array d_rejected;  ///< … and of the rejected responses
  Value accuracy;    ///< fraction of pairs whose chosen response has the larger mean log-prob; ties count one half
  Value margin;      ///< mean of β·(ℓ_w − ℓ_l), the difference of the implicit rewards without γ
};

/// Simple preference optimisation (Meng et al. 2024, eq. 6): the implicit reward is the policy's own mean log-prob per
/// token, so that no reference policy is needed and length is not an advantage:
///
///     z_i = β·(ℓ_w − ℓ_l) − γ,   L = Σ_i w_i·(−(1 − ε)·log σ(z_i) − ε·log σ(−z_i))
///
/// Uses `chosen` ℓ_w, `rejected` ℓ_l and `weights` of `preference_loss_inputs`: the MEAN log-prob of response tokens;
/// arrays, ranges or tensors. Without weights the loss is the mean. Two numbers give the term of one pair. The authors'
/// scripts take γ/β (gamma_beta_ratio); here γ itself is given, as in the paper and TRL. `operator()` returns
/// double, or a 0-d tensor that is differentiable; `value_and_grad` a `simpo_result`. Throws option_error at
/// construction; argument_error when lengths differ or the loss is not finite (host arrays).
///
///     coho::simpo_loss loss{{.beta = 2, .gamma = 1}};
///     auto result = loss.value_and_grad({.chosen = chosen_means, .rejected = rejected_means});
///     double at_margin = loss(-1.0, -1.5);  // ln 2
class simpo_loss {
 public:
  static constexpr bool needs_reference = false;

  explicit simpo_loss(const simpo_options& options = {}) : options_(options) { validate(options); }
  const simpo_options& options() const noexcept { return options_; }

  static constexpr bool by_blocks = true;

  /// One element, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool Gradient, class T>
  element_terms<T, 2, 2> element(const T& chosen, const T& rejected) const {
    const double beta = options_.beta;
    const T margin = beta * (chosen - rejected), z = margin - options_.gamma;
    const auto term = detail::preference_terms<Gradient>(dpo_form::conservative, z, beta, options_.label_smoothing);
    element_terms<T, 2, 2> out;
    out.value = term.value;
    if constexpr (Gradient) {
      out.slopes = {T(beta * term.slope), T(-beta * term.slope)};
      out.measures = {heaviside(margin), margin};
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
    return detail::pair_result<simpo_result>(frame.weighted_value_and_grad(*this, in.weights, in.chosen, in.rejected));
  }

  /// The interface of a preference_loss, over the means of the responses.
  template <std::same_as<preference_log_probs> Known, class Weights>
  preference_gradient value_and_grad(const Known& known, const token_weights<Weights>& weights) const {
    return detail::evaluate_on_means(known, [&](const auto& chosen, const auto& rejected) {
      return frame.weighted_value_and_grad(*this, weights, chosen, rejected);
    });
  }

 private:
  static constexpr elementwise_loss<2, 2> frame{"simpo_loss", {"chosen", "rejected"}};

  simpo_options options_;
};

}  // namespace coho::inline v0_1
