#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <coho/eigen/as_array.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

template <class Value, class Array>
struct nll_result {
  Value value;        ///< the loss
  Array d_log_probs;  ///< its gradient, −w
};

/// The negative log-likelihood of supervised fine-tuning, over tokens with weights w:
///
///     L = −Σ_t w_t · log π(y_t | x, y_<t)
///
/// `log_probs` (nats): one per token; array, range, tensor. Without weights the loss is the mean. `operator()` returns
/// double, or a 0-d tensor that is differentiable; `value_and_grad` an `nll_result`. Throws argument_error when lengths
/// differ or the loss is not finite (host arrays).
///
///     auto weights = coho::make_token_weights(mask, offsets);
///     double loss = coho::nll_loss{}(log_probs, weights);
class nll_loss {
 public:
  static constexpr bool by_blocks = true;

  /// One token, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool Gradient, class T>
  element_terms<T, 1> element(const T& log_prob) const {
    element_terms<T, 1> out;
    out.value = -log_prob;
    if constexpr (Gradient && detail::device_array<T>) {
      out.slopes[0] = log_prob.new_full(log_prob.sizes(), -1.0);
    } else if constexpr (Gradient) {
      out.slopes[0] = T(-1.0);
    }
    return out;
  }

  template <class LogProbs>
  auto operator()(const LogProbs& log_probs) const {
    return frame.value(*this, log_probs);
  }
  template <class LogProbs, class Weights>
  auto operator()(const LogProbs& log_probs, const token_weights<Weights>& weights) const {
    return frame.weighted_value(*this, weights, log_probs);
  }

  template <class LogProbs>
  auto value_and_grad(const LogProbs& log_probs) const {
    return named_result(frame.value_and_grad(*this, log_probs));
  }
  template <class LogProbs, class Weights>
  auto value_and_grad(const LogProbs& log_probs, const token_weights<Weights>& weights) const {
    return named_result(frame.weighted_value_and_grad(*this, weights, log_probs));
  }

 private:
  static constexpr elementwise_loss<1, 1> frame{"nll_loss", {"log_probs"}};

  // The general result of an elementwise_loss under the names of this loss.
  template <class Result>
  static auto named_result(Result result) {
    auto& d_log_probs = result.gradients[0];
    return nll_result<decltype(result.value), std::remove_cvref_t<decltype(d_log_probs)>>{result.value,
                                                                                          std::move(d_log_probs)};
  }
};

}  // namespace coho::inline v0_1
