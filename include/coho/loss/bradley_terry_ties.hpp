#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <utility>

#include <coho/error.hpp>
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

/// Models of a comparison that may end in a tie, with d = r − s the difference of the two scores:
enum class tie_form {
  rao_kupper,  ///< P(win) = σ(d − ln θ), P(loss) = σ(−d − ln θ): differences below a threshold go unnoticed (1967)
  davidson,  ///< P(win) : P(tie) : P(loss) = e^(d/2) : ν : e^(−d/2): a tie is as likely as the geometric mean (1970)
};
constexpr auto option_names(tie_form) { return std::array{"rao_kupper", "davidson"}; }

/// With the defaults, equal scores make all three outcomes equally likely.
struct bradley_terry_ties_options {
  tie_form form = tie_form::rao_kupper;
  double theta = 2;  ///< θ of Rao and Kupper; at least 1; 1: there are no ties
  double nu = 1;     ///< ν of Davidson; at least 0; 0: there are no ties

  static void describe(auto&& visit, auto&... o) {
    visit({"form", "of the probability of a tie"}, o.form...);
    visit({"theta", "θ of Rao and Kupper; 1: no ties", allowed::at_least(1)}, o.theta...);
    visit({"nu", "ν of Davidson; 0: no ties", allowed::at_least(0)}, o.nu...);
  }
};

struct tie_probabilities {
  double win;   ///< the first response is preferred
  double tie;   ///< neither is
  double loss;  ///< the second response is preferred
};

template <class Value, class Array>
struct bradley_terry_ties_result {
  Value value;       ///< the loss
  Array d_chosen;    ///< its gradient with respect to the scores of the first responses
  Array d_rejected;  ///< … and of the second responses
  Value accuracy;    ///< fraction of pairs that the scores order like the outcome; ties and equal scores count one half
};

/// The preference loss of reward models over pairs that may be tied (Rao and Kupper 1967, §2; Davidson 1970, §2):
///
///     L = −Σ_i w_i·log P(outcome_i | d_i),   d_i = r_i − s_i
///     Rao–Kupper: P(tie) = (θ² − 1)·σ(d − ln θ)·σ(−d − ln θ);   Davidson: P(tie) = ν / (e^(d/2) + ν + e^(−d/2))
///
/// Uses `chosen` r, `rejected` s, `targets` t and `weights` of `pair_loss_inputs`; arrays, ranges or tensors. A target
/// is the outcome: 1 where the first response (that of `chosen`) is preferred, 0.5 for a tie, 0 where the second is;
/// between two of these, the mixture of both losses (t = 0.75: half of each). Without weights the loss is the mean.
/// Three numbers give the term of one pair. Without ties (θ = 1, ν = 0) it is `bradley_terry_loss`, and a tie has an
/// infinite loss. `operator()` returns double, or a 0-d tensor that is differentiable; `value_and_grad` a
/// `bradley_terry_ties_result`; `probabilities` those of one pair. Throws option_error at construction; argument_error
/// when lengths differ, margins are given, the loss is not finite, an outcome is outside [0, 1], or is a tie but ties
/// are excluded (numbers and host arrays; on tensors such a tie gives infinity).
///
///     coho::bradley_terry_ties_loss loss{{.form = coho::tie_form::davidson, .nu = 0.5}};
///     auto result = loss.value_and_grad({.chosen = first_scores, .rejected = second_scores, .targets = outcomes});
///     double tie = loss.probabilities(0.0, 0.0).tie;  // 0.2
class bradley_terry_ties_loss {
 public:
  explicit bradley_terry_ties_loss(const bradley_terry_ties_options& options = {}) : options_(options) {
    validate(options);
    threshold_ = std::log(options.theta);
    // −ln(θ² − 1), or −ln ν.
    tie_cost_ = options.form == tie_form::davidson ? -std::log(options.nu)
                                                   : -(std::log(options.theta - 1) + std::log1p(options.theta));
  }
  const bradley_terry_ties_options& options() const noexcept { return options_; }

  /// The probabilities of one pair's three outcomes; they sum to 1.
  tie_probabilities probabilities(double first_score, double second_score) const {
    const auto [win, tie, loss] = outcome_losses(first_score - second_score);
    return {std::exp(-win), std::exp(-tie), std::exp(-loss)};
  }

  /// One element, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool Gradient, class T>
  element_terms<T, 2, 1> element(const T& first, const T& second, const T& outcome) const {
    const T d = first - second, lean = 2.0 * outcome - 1.0, zero = 0.0 * lean;
    element_terms<T, 2, 1> out;
    if constexpr (std::floating_point<T>) {
      if (outcome < 0 || outcome > 1) {
        throw argument_error("bradley_terry_ties_loss: an outcome is outside [0, 1]");
      }
      const double sure = std::abs(lean);
      if (std::isinf(tie_cost_) && sure < 1) {
        throw argument_error("bradley_terry_ties_loss: an outcome is a tie, but the options rule ties out");
      }
      const auto [value, total] = mixture_loss(d, 0.5 * (sure + lean), 1 - sure, 0.5 * (sure - lean));
      out.value = value;
      if constexpr (Gradient) {
        out.slopes = {total, -total};
        out.measures = {heaviside(d * lean)};
      }
      return out;
    }
    const T wins = coho::max(lean, zero), losses = coho::max(T(-lean), zero), ties = 1.0 - wins - losses;
    const auto cost = outcome_losses(d);
    // Where ties are ruled out their cost is infinite, and 0 times that is not 0.
    out.value = wins * cost.win + losses * cost.loss + coho::where(ties > 0, T(ties * cost.tie), T(0.0 * d));
    if constexpr (Gradient) {
      const auto slope = outcome_slopes(d);
      const T total = wins * slope.win + losses * slope.loss + ties * slope.tie;
      out.slopes = {total, T(-total)};
      out.measures = {heaviside(T(d * lean))};
    }
    return out;
  }

  double operator()(double first_score, double second_score, double outcome) const {
    return element<false>(first_score, second_score, outcome).value;
  }
  template <class Array = double>
  auto operator()(const pair_loss_inputs<Array>& in) const {
    require_no_margins(in);
    return frame.weighted_value(*this, in.weights, in.chosen, in.rejected, in.targets.values);
  }
  template <class Array = double>
  auto value_and_grad(const pair_loss_inputs<Array>& in) const {
    require_no_margins(in);
    return detail::pair_result<bradley_terry_ties_result>(
        frame.weighted_value_and_grad(*this, in.weights, in.chosen, in.rejected, in.targets.values));
  }

  /// The interface of a pair_loss.
  template <std::same_as<pair_scores> Scores, class Weights>
  pair_gradient value_and_grad(const Scores& scores, const token_weights<Weights>& weights) const {
    const auto result = frame.weighted_value_and_grad(*this, weights, scores.chosen, scores.rejected, scores.targets);
    return {result.value, result.gradients[0], result.gradients[1]};
  }

 private:
  static constexpr elementwise_loss<2, 3> frame{"bradley_terry_ties_loss", {"chosen", "rejected", "targets"}};

  // Refuses a margin that would have no effect.
  static void require_no_margins(const auto& in) {
    require_argument(!in.margins.given, "bradley_terry_ties_loss: has no margins; leave them out");
  }

  // One number for each outcome of a comparison.
  template <class T>
  struct per_outcome {
    T win, tie, loss;
  };

  // −log of the probabilities of the three outcomes, without overflow. Infinite for a tie where ties are ruled out.
  template <class T>
  per_outcome<T> outcome_losses(const T& d) const {
    using std::abs, std::exp, std::log1p;
    if (options_.form == tie_form::rao_kupper) {
      const T win = coho::softplus(T(threshold_ - d)), loss = coho::softplus(T(threshold_ + d));
      return {win, T(win + loss + tie_cost_), loss};
    }
    // log(e^(d/2) + ν + e^(−d/2)) is |d|/2 and this.
    const T half = 0.5 * abs(d), rest = log1p(exp(-2.0 * half) + options_.nu * exp(-half));
    return {T(half - 0.5 * d + rest), T(half + tie_cost_ + rest), T(half + 0.5 * d + rest)};
  }

  // The derivatives of `outcome_losses` with respect to d; nothing cancels where they are small.
  template <class T>
  per_outcome<T> outcome_slopes(const T& d) const {
    using std::abs, std::exp;
    if (options_.form == tie_form::rao_kupper) {
      const T down = coho::sigmoid(T(threshold_ - d)), up = coho::sigmoid(T(threshold_ + d));
      return {T(-down), T(up - down), up};
    }
    const T half = 0.5 * abs(d), one = 0.0 * d + 1.0;
    const T minor = exp(-2.0 * half), tie = options_.nu * exp(-half), total = 1.0 + minor + tie;
    const T up = (coho::where(d > 0, one, minor) + 0.5 * tie) / total;
    const T down = (coho::where(d > 0, minor, one) + 0.5 * tie) / total;
    return {T(-down), T(0.5 * (up - down)), up};
  }

  // Of numbers: the mixture of the three losses and its derivative, with shared terms computed once, and terms that the
  // outcome drops not at all. The value is NaN where d or the outcome is.
  std::pair<double, double> mixture_loss(double d, double wins, double ties, double losses) const {
    if (options_.form == tie_form::rao_kupper) {
      double value = (d - d) + (wins - wins), slope = 0;
      if (wins + ties > 0) {
        const detail::logistic_terms s = detail::logistic(threshold_ - d);
        value += (wins + ties) * s.softplus;
        slope -= (wins + ties) * s.sigmoid;
      }
      if (losses + ties > 0) {
        const detail::logistic_terms s = detail::logistic(threshold_ + d);
        value += (losses + ties) * s.softplus;
        slope += (losses + ties) * s.sigmoid;
      }
      return {ties > 0 ? value + ties * tie_cost_ : value, slope};
    }
    // As in `outcome_losses` and `outcome_slopes`, with e^(−|d|/2) taken once.
    const double half = 0.5 * std::abs(d), e = std::exp(-half), minor = e * e, tie = options_.nu * e;
    const double share = 1 / (1 + minor + tie), whole = 1 + (minor + tie);
    const double rest = std::log(whole) + ((minor + tie) - (whole - 1)) * share;  // log1p
    const double low = (minor + 0.5 * tie) * share, high = (1 + 0.5 * tie) * share;
    // Products, not choices: a branch on which score is higher would be mispredicted.
    const double first = static_cast<double>(d > 0), second = 1 - first;
    const double up = first * high + second * low, down = first * low + second * high;
    const double tied = ties * (half + (std::isinf(tie_cost_) ? 0.0 : tie_cost_) + rest);  // infinite: no ties here
    return {wins * (half - 0.5 * d + rest) + losses * (half + 0.5 * d + rest) + tied,
            -wins * down + losses * up + ties * 0.5 * (up - down)};
  }

  bradley_terry_ties_options options_;
  double threshold_, tie_cost_;
};

}  // namespace coho::inline v0_1
