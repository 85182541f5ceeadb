#pragma once

#include <concepts>
#include <string>

#include <coho/loss/detail/logistic.hpp>
#include <coho/loss/dpo_form.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>

/// The formulas that the losses of pairs share.
namespace coho::inline v0_1::detail {

/// A term and its derivative with respect to z.
template <class T>
struct preference_term {
  T value{};
  T slope{};
};

/// f(z) of the forms hinge and ipo, and with `Gradient` its slope: those without an exponential.
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

/// f(z) of any `dpo_form`, and with `Gradient` its slope; `epsilon` is the label smoothing of conservative and robust,
/// 0 for sigmoid. Other pair losses have these forms too.
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

/// Checks that a probability of wrong labels fits the form; throws option_error.
inline void require_label_smoothing(dpo_form form, double epsilon, const std::string& prefix) {
  const bool smooth = form == dpo_form::conservative || form == dpo_form::robust;
  require_option(smooth || epsilon == 0, prefix + "label_smoothing", epsilon,
                 "0 unless the form is conservative or robust");
}

}  // namespace coho::inline v0_1::detail
