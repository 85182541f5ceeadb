#pragma once

#include <cmath>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <coho/check_lengths.hpp>
#include <coho/error.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/inputs/value_loss_inputs.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>

namespace coho::inline v0_1 {

struct huber_value_options {
  double delta = 1;  ///< errors beyond it, in units of the returns, count linearly; > 0, infinity for the squared error

  static void describe(auto&& visit, auto&... o) {
    visit({"delta", "errors beyond it, in units of the returns, count linearly", allowed::above(0).or_infinity()},
          o.delta...);
  }
};

template <class Value, class Array>
struct huber_value_result {
  Value value;          ///< the loss
  Array d_values;       ///< its gradient, limited to ±w·delta; 0 where the weight is 0
  Value clip_fraction;  ///< fraction of tokens whose gradient is limited
  Value tokens;         ///< tokens of nonzero weight: to combine the fraction over parts of a batch
};

/// The value loss with Huber's error (Huber 1964), which a few outliers cannot dominate, summed over tokens with
/// weights w:
///
///     L = Σ_t w_t · h(v_t − R_t),   h(e) = ½e² where |e| ≤ delta, delta·(|e| − ½·delta) beyond
///
/// Interchangeable with `value_clip_loss`; `old_values` are not used. The plain squared error is this with delta =
/// infinity, and also `value_clip_loss` with clip = infinity. Uses `values`, `returns` and `weights` of
/// `value_loss_inputs`: arrays, ranges or tensors. Without weights the loss is the mean. Three numbers (the value, the
/// old value and the return) give the term of one token. `operator()` returns double, or a 0-d tensor that is
/// differentiable; `value_and_grad` a `huber_value_result`. Throws option_error at construction; argument_error when
/// lengths differ or the loss is not finite (host arrays).
///
///     coho::huber_value_loss loss{{.delta = 10}};
///     auto result = loss.value_and_grad({.values = values, .returns = returns, .weights = weights});
///     // result.value, result.d_values
class huber_value_loss {
 public:
  explicit huber_value_loss(const huber_value_options& options = {}) : options_(options) { validate(options); }
  const huber_value_options& options() const noexcept { return options_; }

  /// One token, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool Gradient, class T>
  element_terms<T, 1, 1> element(const T& value, const T& target) const {
    using std::abs;
    const T error = value - target;
    const T limited = coho::clamp(error, -options_.delta, options_.delta);
    element_terms<T, 1, 1> out;
    out.value = limited * (error - 0.5 * limited);  // both cases in one, without a difference of infinities
    if constexpr (Gradient) {
      out.slopes = {limited};
      const T zero = 0.0 * limited;
      out.measures = {T(coho::where(abs(error) > options_.delta, T(zero + 1.0), zero))};
    }
    return out;
  }

  double operator()(double value, double /*old_value*/, double target) const {
    return element<false>(value, target).value;
  }
  template <class Array = double>
  auto operator()(const value_loss_inputs<Array>& in) const {
    check_old_values(in);
    return frame.weighted_value(*this, in.weights, in.values, in.returns);
  }
  template <class Array = double>
  auto value_and_grad(const value_loss_inputs<Array>& in) const {
    check_old_values(in);
    auto result = frame.weighted_value_and_grad(*this, in.weights, in.values, in.returns);
    auto& d_values = result.gradients[0];
    return huber_value_result<decltype(result.value), std::remove_cvref_t<decltype(d_values)>>{
        result.value, std::move(d_values), result.measures[0], result.count};
  }

 private:
  static constexpr elementwise_loss<1, 2> frame{"huber_value_loss", {"values", "returns"}};

  // Old values may be omitted; if given they must fit, so that losses are interchangeable.
  template <class Array>
  static void check_old_values(const value_loss_inputs<Array>& in) {
    if constexpr (detail::device_array<Array>) {
      if (in.old_values.numel() > 0) detail::check_same_shape(in.values, in.old_values, "huber_value_loss");
    } else if (in.old_values.size() > 0) {
      detail::check_lengths(static_cast<std::size_t>(in.values.size()), static_cast<std::size_t>(in.old_values.size()),
                            "huber_value_loss", "old_values");
    }
  }

  huber_value_options options_;
};

}  // namespace coho::inline v0_1
