#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

#include <coho/error.hpp>
#include <coho/loss/detail/logistic.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/preference_log_probs.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

// GCC 12 warns that this scoped enumerator hides `coho::sigmoid`. It does not.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
/// The forms of direct preference optimisation, of z = β·(log-ratio of the chosen response − that of the rejected one):
enum class dpo_form {
  sigmoid,  ///< −log σ(z) (Rafailov et al. 2023, eq. 7)
  hinge,    ///< max(0, 1 − z) (Zhao et al. 2023, SLiC-HF)
  ipo,      ///< (z/β − 1/(2β))² (Azar et al. 2024, eq. 17), β its τ; TRL gives it length-averaged log-probs
  conservative,  ///< −(1 − ε)·log σ(z) − ε·log σ(−z): labels are wrong with probability ε (Mitchell 2023, cDPO)
  robust,  ///< (−(1 − ε)·log σ(z) + ε·log σ(−z)) / (1 − 2ε): unbiased under that noise (Chowdhury et al. 2024, rDPO)
};
#pragma GCC diagnostic pop
constexpr auto option_names(dpo_form) { return std::array{"sigmoid", "hinge", "ipo", "conservative", "robust"}; }

namespace detail {

/// A term and its derivative with respect to z.
template <class T>
struct preference_term {
  T value{};
  T slope{};
};

/// f(z) of the forms hinge and ipo.
template <bool Gradient, class T>
preference_term<T> plain_preference_terms(dpo_form form, const T& z, double beta) {
  preference_term<T> out;
  if (form == dpo_form::hinge) {
    out.value = coho::where(z < 1, T(1 - z), T(0.0 * z));
    if constexpr (Gradient) out.slope = coho::where(z < 1, T(0.0 * z - 1.0), T(0.0 * z));
  } else {
    const T error = z / beta - 1 / (2 * beta);
    out.value = error * error;
    if constexpr (Gradient) out.slope = 2 * error / beta;
  }
  return out;
}

/// f(z) of a `dpo_form`; other pair losses have these forms too.
template <bool Gradient, class T>
preference_term<T> preference_terms(dpo_form form, const T& z, double beta, double epsilon) {
  if (form == dpo_form::hinge || form == dpo_form::ipo) return plain_preference_terms<Gradient>(form, z, beta);
  // The robust form subtracts the wrong label's term; the others add it.
  const bool robust = form == dpo_form::robust;
  const double scale = robust ? 1 / (1 - 2 * epsilon) : 1, right = 1 - epsilon, wrong = robust ? -epsilon : epsilon;
  preference_term<T> out;
  if constexpr (requires { logistic(z); }) {
    const auto s = logistic(z);
    out.value = scale * (right * s.softplus_negated + wrong * s.softplus);
    if constexpr (Gradient) out.slope = scale * (wrong * s.sigmoid - right * s.sigmoid_negated);
  } else {
    out.value = scale * (right * coho::softplus(T(-z)) + wrong * coho::softplus(z));
    if constexpr (Gradient) out.slope = scale * (wrong * coho::sigmoid(z) - right * coho::sigmoid(T(-z)));
  }
  return out;
}

/// 1 where x > 0, 0 where x < 0, one half at 0.
template <class T>
T above_zero(const T& x) {
  if constexpr (std::floating_point<T>) return T(0.5) + T(0.5) * (static_cast<T>(x > 0) - static_cast<T>(x < 0));
  const T zero = 0.0 * x;
  return coho::where(x > 0, T(zero + 1.0), T(coho::where(x < 0, zero, T(zero + 0.5))));
}

/// Checks that a probability of wrong labels fits the form; throws option_error.
inline void require_label_smoothing(dpo_form form, double epsilon, const std::string& prefix) {
  const bool smooth = form == dpo_form::conservative || form == dpo_form::robust;
  require_option(smooth || epsilon == 0, prefix + "label_smoothing", epsilon,
                 "0 unless the form is conservative or robust");
}

}  // namespace detail

struct dpo_options {
  double beta = 0.1;  ///< strength of the implied KL penalty; > 0
  dpo_form form = dpo_form::sigmoid;
  double label_smoothing = 0;  ///< ε of conservative and robust, in [0, 0.5); 0 for the other forms

  static void describe(auto&& visit, auto&... o) {
    visit({"beta", "strength of the KL penalty that is solved for", allowed::above(0)}, o.beta...);
    visit({"form", "of the loss"}, o.form...);
    visit({"label_smoothing", "ε: probability that a label is wrong", allowed::in_from(0, 0.5)}, o.label_smoothing...);
  }
  void check_together(const std::string& prefix) const {
    detail::require_label_smoothing(form, label_smoothing, prefix);
  }
};

namespace detail {

/// The formula of one pair, for the forms with an exponential or for those without.
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
      out.measures = {above_zero(z), z};
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
/// `chosen`, `rejected`: log π of whole responses, sums over their tokens (nats; `sequence_sums`), one per pair;
/// `reference_chosen`, `reference_rejected`: those of the reference policy, constants. Arrays, ranges, tensors, or
/// numbers for one pair. `weights` (optional, default 1/N): one factor per pair, 0 drops it. `operator()` returns
/// double, or a 0-d tensor that is differentiable; `value_and_grad` a `dpo_result`. The hinge has gradient 0 at its
/// kink z = 1. Throws option_error at construction; argument_error when lengths differ or the loss is not finite (host
/// arrays).
///
///     coho::dpo_loss loss{{.beta = 0.1}};
///     auto result = loss.value_and_grad(chosen, rejected, reference_chosen, reference_rejected);
///     double fresh = loss(-5.0, -7.0, -5.0, -7.0);  // ln 2
class dpo_loss {
 public:
  explicit dpo_loss(const dpo_options& options = {}) : options_(options) { validate(options); }
  const dpo_options& options() const noexcept { return options_; }

  template <class Chosen, class Rejected, class ReferenceChosen, class ReferenceRejected>
  auto operator()(const Chosen& chosen, const Rejected& rejected, const ReferenceChosen& reference_chosen,
                  const ReferenceRejected& reference_rejected) const {
    return with_form(
        [&](const auto& terms) { return frame.value(terms, chosen, rejected, reference_chosen, reference_rejected); });
  }
  template <class Chosen, class Rejected, class ReferenceChosen, class ReferenceRejected, class Weights>
  auto operator()(const Chosen& chosen, const Rejected& rejected, const ReferenceChosen& reference_chosen,
                  const ReferenceRejected& reference_rejected, const token_weights<Weights>& weights) const {
    return with_form([&](const auto& terms) {
      return frame.weighted_value(terms, weights, chosen, rejected, reference_chosen, reference_rejected);
    });
  }

  template <class Chosen, class Rejected, class ReferenceChosen, class ReferenceRejected>
  auto value_and_grad(const Chosen& chosen, const Rejected& rejected, const ReferenceChosen& reference_chosen,
                      const ReferenceRejected& reference_rejected) const {
    return with_form([&](const auto& terms) {
      return named(frame.value_and_grad(terms, chosen, rejected, reference_chosen, reference_rejected));
    });
  }
  template <class Chosen, class Rejected, class ReferenceChosen, class ReferenceRejected, class Weights>
  auto value_and_grad(const Chosen& chosen, const Rejected& rejected, const ReferenceChosen& reference_chosen,
                      const ReferenceRejected& reference_rejected, const token_weights<Weights>& weights) const {
    return with_form([&](const auto& terms) {
      return named(
          frame.weighted_value_and_grad(terms, weights, chosen, rejected, reference_chosen, reference_rejected));
    });
  }

  /// The interface of a preference_loss.
  template <std::same_as<preference_log_probs> Known, class Weights>
  preference_gradient value_and_grad(const Known& known, const token_weights<Weights>& weights) const {
    return with_form([&](const auto& terms) {
      return detail::preference_gradient_of(frame.weighted_value_and_grad(
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

  template <class Result>
  static auto named(Result result) {
    auto& [d_chosen, d_rejected] = result.gradients;
    return dpo_result<decltype(result.value), std::remove_cvref_t<decltype(d_chosen)>>{
        result.value, std::move(d_chosen), std::move(d_rejected), result.measures[0], result.measures[1]};
  }

  dpo_options options_;
};

}  // namespace coho::inline v0_1
