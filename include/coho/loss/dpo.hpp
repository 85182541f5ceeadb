#pragma once

#include <concepts>
#include <string>

#include <coho/loss/detail/pair_result.hpp>
#include <coho/loss/detail/preference_terms.hpp>
#include <coho/loss/dpo_form.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/inputs/preference_log_probs.hpp>
#include <coho/loss/inputs/preference_loss_inputs.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct dpo_options {
  double beta = 0.1;  ///< strength of the implied KL penalty; > 0
  dpo_form form = dpo_form::sigmoid;
  double label_smoothing = 0;  ///< ε of conservative and robust, in [0, 0.5); 0 for the other forms

  static void describe(auto&& visit, auto&... o) {
    visit({"beta", "strength of the KL penalty that is solved for", allowed::above(0)}, o.beta...);
    visit({"form", "of the loss"}, o.form...);
    visit({"label_smoothing", "ε: probability that a label is wrong", allowed::in_from(0, 0.5)}, o.label_smoothing...);
  }
  void check_constraints(const std::string& prefix) const {
    detail::require_label_smoothing(form, label_smoothing, prefix);
  }
};

namespace detail {

/// The formula of one pair: for all forms, or only for those without an exponential.
template <bool Logistic>
struct dpo_terms {
  static constexpr bool by_blocks = true;
  dpo_options options;

  template <bool Gradient, class T>
  element_terms<T, 2, 2> element(const T& chosen, const T& rejected, const T& reference_chosen,
                                 const T& reference_rejected) const {
    const double beta = options.beta;
    const T z = beta * ((chosen - reference_chosen) - (rejected - reference_rejected));
    const auto term = [&] {
      if constexpr (Logistic) {
        return preference_terms<Gradient>(options.form, z, beta, options.label_smoothing);
      } else {
        return plain_preference_terms<Gradient>(options.form, z, beta);
      }
    }();
    element_terms<T, 2, 2> out;
    out.value = term.value;
    if constexpr (Gradient) {
      out.slopes = {T(beta * term.slope), T(-beta * term.slope)};
      out.measures = {heaviside(z), z};
    }
    return out;
  }
};

}  // namespace detail

template <class Value, class Array>
struct dpo_result {
  Value value;       ///< the loss
  Array d_chosen;    ///< its gradient with respect to the policy's log-probs of the chosen responses
  Array d_rejected;  ///< … and of the rejected responses
  Value accuracy;    ///< fraction of pairs whose chosen response has the larger implicit reward; ties count one half
  Value margin;      ///< mean of z: the difference of the implicit rewards β·(log π − log π_ref)
};

/// Direct preference optimisation: the optimum of KL-penalised reward maximisation, learned from pairs without a reward
/// model.
///
///     z_i = β·((log π(y_w) − log π_ref(y_w)) − (log π(y_l) − log π_ref(y_l)))
///     L = Σ_i w_i·f(z_i),   f as in `dpo_form`
///
/// Uses `chosen`, `rejected`, `reference_chosen`, `reference_rejected` and `weights` of `preference_loss_inputs`: log π
/// of whole responses, sums over their tokens (`sequence_sums`); arrays, ranges or tensors. Without weights the loss is
/// the mean. Four numbers give the term of one pair. `operator()` returns double, or a 0-d tensor that is
/// differentiable; `value_and_grad` a `dpo_result`. The hinge has gradient 0 at its kink z = 1. Throws option_error at
/// construction; argument_error when lengths differ or the loss is not finite (host arrays).
///
///     coho::dpo_loss loss{{.beta = 0.1}};
///     auto result = loss.value_and_grad({.chosen = chosen, .rejected = rejected,
///                                        .reference_chosen = reference_chosen,
///                                        .reference_rejected = reference_rejected});
///     double fresh = loss(-5.0, -7.0, -5.0, -7.0);  // ln 2
class dpo_loss {
 public:
  explicit dpo_loss(const dpo_options& options = {}) : options_(options) { validate(options); }
  const dpo_options& options() const noexcept { return options_; }

  double operator()(double chosen, double rejected, double reference_chosen, double reference_rejected) const {
    const detail::dpo_terms<true> terms{options_};  // of all forms
    return terms.element<false>(chosen, rejected, reference_chosen, reference_rejected).value;
  }
  template <class Array = double>
  auto operator()(const preference_loss_inputs<Array>& in) const {
    return with_form([&](const auto& terms) {
      return frame.weighted_value(terms, in.weights, in.chosen, in.rejected, in.reference_chosen,
                                  in.reference_rejected);
    });
  }
  template <class Array = double>
  auto value_and_grad(const preference_loss_inputs<Array>& in) const {
    return with_form([&](const auto& terms) {
      return detail::pair_result<dpo_result>(frame.weighted_value_and_grad(terms, in.weights, in.chosen, in.rejected,
                                                                           in.reference_chosen, in.reference_rejected));
    });
  }

  /// The interface of a preference_loss.
  template <std::same_as<preference_log_probs> Known, class Weights>
  preference_gradient value_and_grad(const Known& known, const token_weights<Weights>& weights) const {
    return with_form([&](const auto& terms) {
      return detail::to_preference_gradient(frame.weighted_value_and_grad(
          terms, weights, known.chosen, known.rejected, known.reference_chosen, known.reference_rejected));
    });
  }

 private:
  static constexpr elementwise_loss<2, 4> frame{"dpo_loss",
                                                {"chosen", "rejected", "reference_chosen", "reference_rejected"}};

  // The forms with an exponential and those without are compiled separately: a call inside a loop costs it registers.
  template <class Run>
  auto with_form(const Run& run) const {
    if (options_.form == dpo_form::hinge || options_.form == dpo_form::ipo)
      return run(detail::dpo_terms<false>{options_});
    return run(detail::dpo_terms<true>{options_});
  }

  dpo_options options_;
};

}  // namespace coho::inline v0_1
