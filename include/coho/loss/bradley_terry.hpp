#pragma once

#include <algorithm>
#include <cstdint>
#include <cmath>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/loss/token_loss.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>
#include <concepts>
#include <type_traits>

namespace coho {

struct bradley_terry_options {
  double margin = 0;           ///< subtracted from the difference of scores; finite
  double label_smoothing = 0;  ///< ε: probability that a label is wrong; in [0, 0.5)
  double centring = 0;         ///< c in c·(r0 + r1)², which keeps scores about 0; at least 0
  friend bool operator==(const bradley_terry_options&, const bradley_terry_options&) = default;
};

template <class Value, class Array>
struct bradley_terry_result {
  Value value;        ///< the loss
  Array d_preferred;  ///< its gradient with respect to the scores of the preferred responses
  Array d_other;      ///< … and of the other responses
  Value accuracy;     ///< share of pairs that the scores order as the labels do; equal scores count one half
};

/// The preference loss of reward models (Bradley and Terry 1952; Ouyang et al. 2022, eq. 1; SALMON §3.1, eq. 1), over
/// pairs:
///
///     L = Σ_i w_i·[ softplus(−z_i) + (1 − p_i)·z_i + centring·(r_i + s_i)² ],   z_i = r_i − s_i − margin
///     p_i = t_i·(1 − ε) + (1 − t_i)·ε
///
/// `preferred_scores` r and `other_scores` s: one a pair; arrays, ranges, tensors, or numbers for one pair. `weights`
/// (optional, default 1/N): a factor per pair, 0 leaves a pair out. `targets` t (optional, default 1): the probability
/// that the first is preferred, 0.5 for a tie; in [0, 1]. The term is −log σ(z) for p = 1; it neither overflows nor
/// loses small losses. `operator()` returns double, or a 0-d tensor that is differentiable; `value_and_grad` a
/// `bradley_terry_result`. Throws option_error at construction; argument_error when lengths differ or the loss is not
/// finite (host arrays).
///
///     coho::bradley_terry_loss loss{{.margin = 0, .label_smoothing = 0.1}};
///     auto [value, d_preferred, d_other, accuracy] = loss.value_and_grad(preferred_scores, other_scores);
///     double fresh = loss(0.0, 0.0);  // ln 2
class bradley_terry_loss {
 public:
  explicit bradley_terry_loss(const bradley_terry_options& options = {}) : options_(options) {
    require_option(std::isfinite(options.margin), "margin", options.margin, "finite");
    require_option(options.label_smoothing >= 0 && options.label_smoothing < 0.5, "label_smoothing",
                   options.label_smoothing, "in [0, 0.5)");
    require_option(options.centring >= 0 && std::isfinite(options.centring), "centring", options.centring,
                   "finite and at least 0");
  }
  const bradley_terry_options& options() const noexcept { return options_; }

  template <class Preferred, class Other>
  auto operator()(const Preferred& preferred_scores, const Other& other_scores) const {
    static_assert(detail::array_check<Preferred, Other>::passed);
    if constexpr (detail::floating_scalar<Preferred>) {
      const double p = preferred_scores, o = other_scores;
      return pair(p, o, 1.0).loss;
    } else if constexpr (detail::device_array<Preferred>) {
      detail::check_same_shape(preferred_scores, other_scores, "bradley_terry_loss");
      return coho::sum(term(preferred_scores, other_scores, 1.0)) / std::max<std::int64_t>(preferred_scores.numel(), 1);
    } else {
      return run<false>(preferred_scores, other_scores, nullptr, nullptr).value;
    }
  }
  template <class Preferred, class Other, class Weights>
  auto operator()(const Preferred& preferred_scores, const Other& other_scores,
                  const token_weights<Weights>& weights) const {
    static_assert(detail::array_check<Preferred, Other, Weights>::passed);
    if constexpr (detail::device_array<Preferred>) {
      return coho::sum(weights.values * term(detail::without_masked(preferred_scores, weights),
                                             detail::without_masked(other_scores, weights), 1.0));
    } else {
      return run<false>(preferred_scores, other_scores, &weights, nullptr).value;
    }
  }
  template <class Preferred, class Other, class Weights, class Targets>
  auto operator()(const Preferred& preferred_scores, const Other& other_scores, const token_weights<Weights>& weights,
                  const Targets& targets) const {
    static_assert(detail::array_check<Preferred, Other, Weights, Targets>::passed);
    if constexpr (detail::device_array<Preferred>) {
      return coho::sum(weights.values * term(detail::without_masked(preferred_scores, weights),
                                             detail::without_masked(other_scores, weights),
                                             detail::without_masked(targets, weights)));
    } else {
      return run<false>(preferred_scores, other_scores, &weights, &targets).value;
    }
  }

  template <class Preferred, class Other>
  auto value_and_grad(const Preferred& preferred_scores, const Other& other_scores) const {
    static_assert(detail::array_check<Preferred, Other>::passed);
    if constexpr (detail::device_array<Preferred>) {
      const token_weights<Preferred> weights{
          preferred_scores.new_full(preferred_scores.sizes(), 1.0 / static_cast<double>(std::max<std::int64_t>(preferred_scores.numel(), 1)))};
      return on_device(preferred_scores, other_scores, weights, 1.0);
    } else {
      return run<true>(preferred_scores, other_scores, nullptr, nullptr);
    }
  }
  template <class Preferred, class Other, class Weights>
  auto value_and_grad(const Preferred& preferred_scores, const Other& other_scores,
                      const token_weights<Weights>& weights) const {
    static_assert(detail::array_check<Preferred, Other, Weights>::passed);
    if constexpr (detail::device_array<Preferred>) {
      return on_device(preferred_scores, other_scores, weights, 1.0);
    } else {
      return run<true>(preferred_scores, other_scores, &weights, nullptr);
    }
  }
  template <class Preferred, class Other, class Weights, class Targets>
  auto value_and_grad(const Preferred& preferred_scores, const Other& other_scores,
                      const token_weights<Weights>& weights, const Targets& targets) const {
    static_assert(detail::array_check<Preferred, Other, Weights, Targets>::passed);
    if constexpr (detail::device_array<Preferred>) {
      return on_device(preferred_scores, other_scores, weights, detail::without_masked(coho::detach(targets), weights));
    } else {
      return run<true>(preferred_scores, other_scores, &weights, &targets);
    }
  }

 private:
  struct pair_terms {
    double loss, d_difference, d_sum, correct;
  };

  pair_terms pair(double preferred, double other, double target) const {
    const double difference = preferred - other, z = difference - options_.margin, total = preferred + other;
    const double p = target * (1 - options_.label_smoothing) + (1 - target) * options_.label_smoothing;
    const double wanted = target - 0.5, ordered = difference * wanted;
    // 1 − σ(z) is taken as σ(−z): σ(z) rounds to 1 long before its distance from 1 is negligible.
    const detail::logistic_terms s = detail::logistic(z);
    return {s.softplus_negated + (1 - p) * z + options_.centring * total * total,
            (1 - p) * s.sigmoid - p * s.sigmoid_negated, 2 * options_.centring * total,
            ordered > 0 ? 1.0 : (ordered < 0 ? 0.0 : 0.5)};
  }

  template <detail::device_array T, class Targets>
  T term(const T& preferred, const T& other, const Targets& targets) const {
    const T z = preferred - other - options_.margin, total = preferred + other;
    const auto p = targets * (1 - options_.label_smoothing) + (1 - targets) * options_.label_smoothing;
    return coho::softplus(T(-z)) + (1 - p) * z + options_.centring * total * total;
  }

  template <class T, class Targets>
  auto on_device(const T& preferred_scores, const T& other_scores, const token_weights<T>& weights,
                 const Targets& targets) const {
    const T preferred = detail::without_masked(coho::detach(preferred_scores), weights);
    const T other = detail::without_masked(coho::detach(other_scores), weights);
    const T difference = preferred - other, z = difference - options_.margin;
    const auto p = targets * (1 - options_.label_smoothing) + (1 - targets) * options_.label_smoothing;
    const T slope = weights.values * ((1 - p) * coho::sigmoid(z) - p * coho::sigmoid(T(-z)));
    const T pull = weights.values * (2 * options_.centring) * (preferred + other);
    const T real = (weights.values != 0).to(difference.scalar_type());
    const T ordered = difference * (targets - 0.5);
    return bradley_terry_result<detail::value_of<T>, T>{
        coho::sum(weights.values * term(preferred, other, targets)), pull + slope, pull - slope,
        coho::sum(real * 0.5 * (1 + ordered.sign())) / coho::max(coho::sum(real), 1.0)};
  }

  template <bool Gradient, class Preferred, class Other, class Weights, class Targets>
  auto run(const Preferred& preferred_scores, const Other& other_scores, Weights weights, Targets targets) const {
    static_assert(detail::host_array<Preferred> && detail::host_array<Other>,
                  "coho::bradley_terry_loss: tensors and arrays of the host cannot be mixed");
    using number = detail::host_number_t<Preferred>;
    const auto preferred = detail::host_elements(preferred_scores);
    const auto other = detail::host_elements(other_scores);
    const auto with_targets = [&](const auto& w) {
      if constexpr (std::is_null_pointer_v<Targets>) {
        return loop<Gradient, number>(preferred, other, w, detail::all_real{preferred.size()});
      } else {
        return loop<Gradient, number>(preferred, other, w, detail::host_elements(*targets));
      }
    };
    if constexpr (std::is_null_pointer_v<Weights>) {
      return with_targets(detail::mean_weights(preferred.size()));
    } else {
      return with_targets(detail::host_elements(weights->values));
    }
  }

  template <bool Gradient, class Result, class Preferred, class Other, class Weights, class Targets>
  auto loop(const Preferred& preferred, const Other& other, const Weights& weights, const Targets& targets) const {
    const std::size_t size = preferred.size();
    detail::check_lengths(size, other.size(), "bradley_terry_loss", "other_scores");
    detail::check_lengths(size, weights.size(), "bradley_terry_loss", "weights");
    detail::check_lengths(size, targets.size(), "bradley_terry_loss", "targets");
    bradley_terry_result<double, detail::array_of<Result>> result{};
    if constexpr (Gradient) {
      result.d_preferred.resize(static_cast<Eigen::Index>(size));
      result.d_other.resize(static_cast<Eigen::Index>(size));
    }
    Result *const d_preferred = result.d_preferred.data(), *const d_other = result.d_other.data();
    const bradley_terry_loss loss = *this;  // a copy, which no store into a gradient can be taken to change
    double value = 0, correct = 0, pairs = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const double weight = static_cast<double>(weights[i]);
      if (weight == 0) {
        if constexpr (Gradient) d_preferred[i] = d_other[i] = Result(0);
        continue;
      }
      const auto terms =
          loss.pair(static_cast<double>(preferred[i]), static_cast<double>(other[i]), static_cast<double>(targets[i]));
      value += weight * terms.loss;
      if constexpr (Gradient) {
        d_preferred[i] = static_cast<Result>(weight * (terms.d_sum + terms.d_difference));
        d_other[i] = static_cast<Result>(weight * (terms.d_sum - terms.d_difference));
        correct += terms.correct;
        pairs += 1;
      }
    }
    detail::require_finite(value, "bradley_terry_loss");
    result.value = value;
    if constexpr (Gradient) result.accuracy = pairs > 0 ? correct / pairs : 0;
    return result;
  }

  bradley_terry_options options_;
};

}  // namespace coho
