#pragma once

#include <coho/loss/elementwise_loss.hpp>
#include <coho/reduce.hpp>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace coho {

template <class Value, class Array>
struct reinforce_result {
  Value value;        ///< the loss; its gradient is what has a meaning, its size has none
  Array d_log_probs;  ///< its gradient, −w·A
  Value tokens;       ///< tokens of nonzero weight
};

/// The policy gradient (Williams 1992, REINFORCE), for responses of the present policy:
///
///     L = −Σ_t w_t · A_t · log π(y_t | x, y_<t)
///
/// `log_probs` (nats) and `advantages`, which are constants: one a token; arrays, ranges or tensors. Without weights
/// the loss is the mean. Single numbers give the term of one token. With weights of reduction::sequence_mean_of_sums
/// and one advantage a response, the gradient is the unbiased one of the expected reward. `operator()` returns double,
/// or a 0-d tensor that is differentiable; `value_and_grad` a `reinforce_result`. Throws argument_error when lengths
/// differ or the loss is not finite (host arrays).
///
///     auto result = coho::reinforce_loss{}.value_and_grad(log_probs, advantages, weights);
///     pullback({.log_probs = coho::as_span(result.d_log_probs)});
class reinforce_loss {
 public:
  template <class LogProbs, class Advantages>
  auto operator()(const LogProbs& log_probs, const Advantages& advantages) const {
    return frame.value(*this, log_probs, advantages);
  }
  template <class LogProbs, class Advantages, class Weights>
  auto operator()(const LogProbs& log_probs, const Advantages& advantages,
                  const token_weights<Weights>& weights) const {
    return frame.weighted_value(*this, weights, log_probs, advantages);
  }

  template <class LogProbs, class Advantages>
  auto value_and_grad(const LogProbs& log_probs, const Advantages& advantages) const {
    return named(frame.value_and_grad(*this, log_probs, advantages));
  }
  template <class LogProbs, class Advantages, class Weights>
  auto value_and_grad(const LogProbs& log_probs, const Advantages& advantages,
                      const token_weights<Weights>& weights) const {
    return named(frame.weighted_value_and_grad(*this, weights, log_probs, advantages));
  }

 private:
  template <std::size_t, std::size_t>
  friend class detail::elementwise;
  static constexpr detail::elementwise<1, 2> frame{"reinforce_loss", {"log_probs", "advantages"}};

  template <bool, class T>
  detail::element_terms<T, 1> element(const T& log_prob, const T& advantage) const {
    const T slope = -advantage;
    return {slope * log_prob, {slope}, {}};
  }

  template <class Result>
  static auto named(Result result) {
    auto& d_log_probs = result.gradients[0];
    return reinforce_result<decltype(result.value), std::remove_cvref_t<decltype(d_log_probs)>>{
        result.value, std::move(d_log_probs), result.count};
  }
};

}  // namespace coho
