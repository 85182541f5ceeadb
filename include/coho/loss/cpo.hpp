#pragma once

#include <concepts>
#include <string>

#include <coho/loss/detail/pair_result.hpp>
#include <coho/loss/detail/preference_terms.hpp>
#include <coho/loss/dpo_form.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/inputs/preference_log_probs.hpp>
#include <coho/loss/inputs/preference_loss_inputs.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct cpo_options {
  double beta = 0.1;  ///< scale of the implicit reward; > 0
  dpo_form form = dpo_form::sigmoid;
  double label_smoothing = 0;  ///< ε of the forms conservative and robust, in [0, 0.5); 0 for the other forms
  double nll_coefficient = 1;  ///< weight of the chosen responses' negative log-likelihood; at least 0

  static void describe(auto&& visit, auto&... o) {
    visit({"beta", "scale of the implicit reward", allowed::above(0)}, o.beta...);
    visit({"form", "of the loss"}, o.form...);
    visit({"label_smoothing", "ε: probability that a label is wrong", allowed::in_from(0, 0.5)}, o.label_smoothing...);
    visit({"nll_coefficient", "weight of the negative log-likelihood of the better response", allowed::at_least(0)},
          o.nll_coefficient...);
  }
  void check_constraints(const std::string& prefix) const {
    detail::require_label_smoothing(form, label_smoothing, prefix);
  }
};

template <class Value, class Array>
struct cpo_result {
  Value value;       ///< the loss
  Array d_chosen;    ///< its gradient with respect to the log-probs of the chosen responses
  Array d_rejected;  ///< … and of the rejected responses
  Value accuracy;    ///< fraction of pairs whose chosen response has the larger log-prob; ties count one half
  Value margin;      ///< mean of z
};

/// Contrastive preference optimisation (Xu et al. 2024, §3): DPO with a uniform reference, which then needs no
/// memory, kept near the chosen responses by their negative log-likelihood:
///
///     z_i = β·(log π(y_w) − log π(y_l)),   L = Σ_i w_i·(f(z_i) − nll_coefficient·log π(y_w)/n_i),   f as in `dpo_form`
///
/// Uses `chosen`, `rejected`, `chosen_tokens` and `weights` of `preference_loss_inputs`; arrays, ranges or tensors.
/// `chosen`, `rejected`: log π of whole responses, sums over their tokens (`sequence_sums`). `chosen_tokens` n: the
/// lengths of the chosen responses, which make the second term a per-token mean, as in TRL (where nll_coefficient is
/// called cpo_alpha); ones give the paper's sum. Lengths below 1 count as 1: an empty response adds 0. For the form ipo
/// TRL compares length-averaged log-probs: give those, and ones. Without weights the loss is the mean. Three numbers
/// give the term of one pair. `operator()` returns double, or a 0-d tensor that is differentiable; `value_and_grad` a
/// `cpo_result`. Throws option_error at construction; argument_error when lengths differ or the loss is not finite
/// (host arrays).
///
///     coho::cpo_loss loss{{.beta = 0.1, .nll_coefficient = 1}};
///     auto result = loss.value_and_grad({.chosen = chosen, .rejected = rejected, .chosen_tokens = lengths});
///     double equal = loss(-6.0, -6.0, 3.0);  // ln 2 + 2
class cpo_loss {
 public:
  static constexpr bool needs_reference = false;

  explicit cpo_loss(const cpo_options& options = {}) : options_(options) { validate(options); }
  const cpo_options& options() const noexcept { return options_; }

  static constexpr bool by_blocks = true;

  /// One element, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool Gradient, class T>
  element_terms<T, 2, 2> element(const T& chosen, const T& rejected, const T& chosen_tokens) const {
    const double beta = options_.beta;
    const T z = beta * (chosen - rejected);
    const T nll_slope = (0.0 * z - options_.nll_coefficient) / coho::max(chosen_tokens, 1.0);
    const auto term = detail::preference_terms<Gradient>(options_.form, z, beta, options_.label_smoothing);
    element_terms<T, 2, 2> out;
    out.value = term.value + nll_slope * chosen;
    if constexpr (Gradient) {
      out.slopes = {T(beta * term.slope + nll_slope), T(-beta * term.slope)};
      out.measures = {heaviside(z), z};
    }
    return out;
  }

  double operator()(double chosen, double rejected, double chosen_tokens) const {
    return element<false>(chosen, rejected, chosen_tokens).value;
  }
  template <class Array = double>
  auto operator()(const preference_loss_inputs<Array>& in) const {
    return frame.weighted_value(*this, in.weights, in.chosen, in.rejected, in.chosen_tokens);
  }
  template <class Array = double>
  auto value_and_grad(const preference_loss_inputs<Array>& in) const {
    return detail::pair_result<cpo_result>(
        frame.weighted_value_and_grad(*this, in.weights, in.chosen, in.rejected, in.chosen_tokens));
  }

  /// The interface of a preference_loss.
  template <std::same_as<preference_log_probs> Known, class Weights>
  preference_gradient value_and_grad(const Known& known, const token_weights<Weights>& weights) const {
    return detail::to_preference_gradient(
        frame.weighted_value_and_grad(*this, weights, known.chosen, known.rejected, known.chosen_tokens));
  }

 private:
  static constexpr elementwise_loss<2, 3> frame{"cpo_loss", {"chosen", "rejected", "chosen_tokens"}};

  cpo_options options_;
};

}  // namespace coho::inline v0_1
