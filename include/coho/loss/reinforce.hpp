#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/inputs/policy_loss_inputs.hpp>

namespace coho::inline v0_1 {

template <class Value, class Array>
struct reinforce_result {
  Value value;        ///< the loss; only its gradient is meaningful, not its size
  Array d_log_probs;  ///< its gradient, −w·A
  Value tokens;       ///< tokens of nonzero weight
};

/// The policy gradient (Williams 1992, REINFORCE), for responses of the current policy:
///
///     L = −Σ_t w_t · A_t · log π(y_t | x, y_<t)
///
/// Uses `log_probs`, `advantages` and `weights` of `policy_loss_inputs`: arrays, ranges or tensors. Without weights the
/// loss is the mean. Two numbers give the term of one token. With weights of reduction::sequence_mean_of_sums and one
/// advantage per response, the gradient is the unbiased one of the expected reward. `operator()` returns double, or a
/// 0-d tensor that is differentiable; `value_and_grad` a `reinforce_result`. Throws argument_error when lengths differ
/// or the loss is not finite (host arrays).
///
///     auto result = coho::reinforce_loss{}.value_and_grad(
///         {.log_probs = log_probs, .advantages = advantages, .weights = weights});
///     pullback({.log_probs = coho::as_span(result.d_log_probs)});
class reinforce_loss {
 public:
  /// One token, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool, class T>
  element_terms<T, 1> element(const T& log_prob, const T& advantage) const {
    const T slope = -advantage;
    return {slope * log_prob, {slope}, {}};
  }

  double operator()(double log_prob, double advantage) const { return element<false>(log_prob, advantage).value; }
  template <class Array = double>
  auto operator()(const policy_loss_inputs<Array>& in) const {
    return frame.weighted_value(*this, in.weights, in.log_probs, in.advantages);
  }
  template <class Array = double>
  auto value_and_grad(const policy_loss_inputs<Array>& in) const {
    auto result = frame.weighted_value_and_grad(*this, in.weights, in.log_probs, in.advantages);
    auto& d_log_probs = result.gradients[0];
    return reinforce_result<decltype(result.value), std::remove_cvref_t<decltype(d_log_probs)>>{
        result.value, std::move(d_log_probs), result.count};
  }

 private:
  static constexpr elementwise_loss<1, 2> frame{"reinforce_loss", {"log_probs", "advantages"}};
};

}  // namespace coho::inline v0_1
