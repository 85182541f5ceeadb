#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <coho/error.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/inputs/value_loss_inputs.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>

namespace coho::inline v0_1 {

struct value_clip_options {
  double clip = 0.2;  ///< how far a value may move from the rollout's before it gains nothing; > 0, infinity for off

  static void describe(auto&& visit, auto&... o) {
    visit({"clip", "how far a value may move from the rollout's before it gains nothing",
           allowed::above(0).or_infinity()},
          o.clip...);
  }
};

template <class Value, class Array>
struct value_clip_result {
  Value value;          ///< the loss
  Array d_values;       ///< its gradient; 0 where the weight is 0
  Value clip_fraction;  ///< fraction of tokens whose gradient the clip removes
  Value tokens;         ///< tokens of nonzero weight: to combine the fraction over parts of a batch
};

/// The clipped value loss of PPO (Schulman et al. 2017, code; Ouyang et al. 2022), summed over tokens with weights w:
///
///     L = Σ_t w_t · ½·max((v_t − R_t)², (clip(v_t, v_old_t − clip, v_old_t + clip) − R_t)²)
///
/// Uses `values`, `old_values`, `returns` and `weights` of `value_loss_inputs`: arrays, ranges or tensors. Without
/// weights the loss is the mean. Three numbers give the term of one token. `operator()` returns double, or a 0-d tensor
/// that is differentiable; `value_and_grad` a `value_clip_result`. Throws option_error at construction; argument_error
/// when lengths differ or the loss is not finite (host arrays).
///
///     coho::value_clip_loss loss{{.clip = 0.2}};
///     auto result = loss.value_and_grad(
///         {.values = values, .old_values = old_values, .returns = returns, .weights = weights});
///     // result.value, result.d_values
class value_clip_loss {
 public:
  explicit value_clip_loss(const value_clip_options& options = {}) : options_(options) { validate(options); }
  const value_clip_options& options() const noexcept { return options_; }

  /// One token, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool Gradient, class T>
  element_terms<T, 1, 1> element(const T& value, const T& old_value, const T& target) const {
    const T error = value - target, move = value - old_value;
    // The error minus what the clip removes from the move: exactly the error inside the band.
    const T clipped = error - (move - coho::clamp(move, -options_.clip, options_.clip));
    const T free_square = error * error, clipped_square = clipped * clipped;
    element_terms<T, 1, 1> out;
    out.value = 0.5 * coho::max(free_square, clipped_square);
    if constexpr (Gradient) {
      const T zero = 0.0 * free_square, kept = coho::where(free_square >= clipped_square, T(zero + 1.0), zero);
      out.slopes = {T(kept * error)};
      out.measures = {T(1.0 - kept)};
    }
    return out;
  }

  double operator()(double value, double old_value, double target) const {
    return element<false>(value, old_value, target).value;
  }
  template <class Array = double>
  auto operator()(const value_loss_inputs<Array>& in) const {
    return frame.weighted_value(*this, in.weights, in.values, in.old_values, in.returns);
  }
  template <class Array = double>
  auto value_and_grad(const value_loss_inputs<Array>& in) const {
    auto result = frame.weighted_value_and_grad(*this, in.weights, in.values, in.old_values, in.returns);
    auto& d_values = result.gradients[0];
    return value_clip_result<decltype(result.value), std::remove_cvref_t<decltype(d_values)>>{
        result.value, std::move(d_values), result.measures[0], result.count};
  }

 private:
  static constexpr elementwise_loss<1, 3> frame{"value_clip_loss", {"values", "old_values", "returns"}};

  value_clip_options options_;
};

}  // namespace coho::inline v0_1
