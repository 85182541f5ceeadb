#pragma once

#include <cmath>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <coho/error.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct entropy_bonus_options {
  double coefficient = 0.01;  ///< c; finite, ≥ 0; 0: measured only

  static void describe(auto&& visit, auto&... o) {
    visit({"coefficient", "c; 0 makes it only a measure", allowed::at_least(0)}, o.coefficient...);
  }
};

template <class Value, class Array>
struct entropy_bonus_result {
  Value value;      ///< the loss, −c·Σ w·H
  Array d_entropy;  ///< its gradient, −c·w
  Value entropy;    ///< mean entropy of the tokens of nonzero weight, nats
  Value tokens;     ///< tokens of nonzero weight
};

/// A term that keeps a policy from collapsing (Williams & Peng 1991; Schulman et al. 2017, eq. 9), to be added to its
/// loss:
///
///     L = −c · Σ_t w_t · H_t,   H_t = −Σ_v π(v | x, y_<t)·log π(v | x, y_<t)
///
/// `entropy`: H_t in nats of the whole next-token distribution, one per token, as a differentiable_policy returns it;
/// array, range or tensor. −log π(y_t) has the same mean but not the same gradient, and cannot be used. Without weights
/// the loss is the mean. A single number gives the term of one token. `operator()` returns double, or a 0-d tensor
/// that is differentiable; `value_and_grad` an `entropy_bonus_result`. Throws option_error at construction;
/// argument_error when lengths differ or the loss is not finite (host arrays).
///
///     auto bonus = coho::entropy_bonus{{.coefficient = 0.01}}.value_and_grad(output.entropy, weights);
///     pullback({.log_probs = coho::as_span(d_log_probs), .entropy = coho::as_span(bonus.d_entropy)});
class entropy_bonus {
 public:
  explicit entropy_bonus(const entropy_bonus_options& options = {}) : options_(options) { validate(options); }
  const entropy_bonus_options& options() const noexcept { return options_; }

  /// One element, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool, class T>
  element_terms<T, 1, 1> element(const T& entropy) const {
    return {T(-options_.coefficient * entropy), {T(0.0 * entropy - options_.coefficient)}, {entropy}};
  }

  template <class Entropy>
  auto operator()(const Entropy& entropy) const {
    return frame.value(*this, entropy);
  }
  template <class Entropy, class Weights>
  auto operator()(const Entropy& entropy, const token_weights<Weights>& weights) const {
    return frame.weighted_value(*this, weights, entropy);
  }

  template <class Entropy>
  auto value_and_grad(const Entropy& entropy) const {
    return named_result(frame.value_and_grad(*this, entropy));
  }
  template <class Entropy, class Weights>
  auto value_and_grad(const Entropy& entropy, const token_weights<Weights>& weights) const {
    return named_result(frame.weighted_value_and_grad(*this, weights, entropy));
  }

 private:
  static constexpr elementwise_loss<1, 1> frame{"entropy_bonus", {"entropy"}};

  // The general result of an elementwise_loss under the names of this loss.
  template <class Result>
  static auto named_result(Result result) {
    auto& d_entropy = result.gradients[0];
    return entropy_bonus_result<decltype(result.value), std::remove_cvref_t<decltype(d_entropy)>>{
        result.value, std::move(d_entropy), result.measures[0], result.count};
  }

  entropy_bonus_options options_;
};

}  // namespace coho::inline v0_1
