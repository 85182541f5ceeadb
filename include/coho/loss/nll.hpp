#pragma once

#include <algorithm>
#include <cmath>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/token_loss.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>
#include <cstddef>
#include <type_traits>

namespace coho {

template <class Value, class Array>
struct nll_result {
  Value value;        ///< the loss
  Array d_log_probs;  ///< its gradient, −w
};

namespace detail {
/// Of tensors; arrays of the host have a loop of their own.
struct nll_terms {
  static constexpr bool by_blocks = true;
  template <bool Gradient, class T>
  element_terms<T, 1> element(const T& log_prob) const {
    element_terms<T, 1> out;
    out.value = -log_prob;
    if constexpr (Gradient && device_array<T>) {
      out.slopes[0] = log_prob.new_full(log_prob.sizes(), -1.0);
    } else if constexpr (Gradient) {
      out.slopes[0] = T(-1.0);
    }
    return out;
  }
};
}  // namespace detail

/// The negative log-likelihood of supervised fine-tuning, over tokens with weights w:
///
///     L = −Σ_t w_t · log π(y_t | x, y_<t)
///
/// `log_probs` (nats): one a token; array, range or tensor. Without weights the loss is the mean. `operator()` returns
/// double, or a 0-d tensor that is differentiable; `value_and_grad` an `nll_result`. Throws argument_error when lengths
/// differ or the loss is not finite (host arrays).
///
///     auto weights = coho::make_token_weights(mask, offsets);
///     double loss = coho::nll_loss{}(log_probs, weights);
class nll_loss {
 public:
  template <class LogProbs>
  auto operator()(const LogProbs& log_probs) const {
    static_assert(detail::array_check<LogProbs>::passed);
    if constexpr (detail::floating_scalar<LogProbs>) {
      return -log_probs;
    } else if constexpr (detail::device_array<LogProbs>) {
      return frame.value(detail::nll_terms{}, log_probs);
    } else {
      return run<false>(log_probs, nullptr).value;
    }
  }
  template <class LogProbs, class Weights>
  auto operator()(const LogProbs& log_probs, const token_weights<Weights>& weights) const {
    static_assert(detail::array_check<LogProbs, Weights>::passed);
    if constexpr (detail::device_array<LogProbs>) {
      return frame.weighted_value(detail::nll_terms{}, weights, log_probs);
    } else {
      return run<false>(log_probs, &weights).value;
    }
  }

  template <class LogProbs>
  auto value_and_grad(const LogProbs& log_probs) const {
    static_assert(detail::array_check<LogProbs>::passed);
    if constexpr (detail::device_array<LogProbs>) {
      return named(frame.value_and_grad(detail::nll_terms{}, log_probs));
    } else {
      return run<true>(log_probs, nullptr);
    }
  }
  template <class LogProbs, class Weights>
  auto value_and_grad(const LogProbs& log_probs, const token_weights<Weights>& weights) const {
    static_assert(detail::array_check<LogProbs, Weights>::passed);
    if constexpr (detail::device_array<LogProbs>) {
      return named(frame.weighted_value_and_grad(detail::nll_terms{}, weights, log_probs));
    } else {
      return run<true>(log_probs, &weights);
    }
  }

 private:
  static constexpr detail::elementwise<1, 1> frame{"nll_loss", {"log_probs"}};

  template <class Result>
  static auto named(const Result& result) {
    return nll_result<decltype(result.value), std::remove_cvref_t<decltype(result.gradients[0])>>{result.value,
                                                                                                  result.gradients[0]};
  }

  template <bool Gradient, class LogProbs, class Weights>
  static auto run(const LogProbs& log_probs, Weights weights) {
    static_assert(detail::host_array<LogProbs>, "coho::nll_loss: tensors and arrays of the host cannot be mixed");
    const auto log_prob = detail::host_elements(log_probs);
    if constexpr (std::is_null_pointer_v<Weights>) {
      return fused<Gradient, detail::host_number_t<LogProbs>>(log_prob, detail::mean_weights(log_prob.size()));
    } else {
      return fused<Gradient, detail::host_number_t<LogProbs>>(log_prob, detail::host_elements(weights->values));
    }
  }

  template <bool Gradient, class Result, class LogProbs, class Weights>
  static auto fused(const LogProbs& log_probs, const Weights& weights) {
    const std::size_t size = log_probs.size();
    detail::check_lengths(size, weights.size(), "nll_loss", "weights");
    nll_result<double, detail::array_of<Result>> result{};
    if constexpr (Gradient) result.d_log_probs.resize(static_cast<Eigen::Index>(size));
    constexpr std::size_t block = detail::token_block;
    detail::block<double> log_prob_scratch, weight_scratch, terms;
    for (std::size_t begin = 0; begin < size; begin += block) {
      const std::size_t count = std::min(size - begin, block);
      const double* const log_prob = log_prob_scratch.view(log_probs, begin, count);
      const double* const weight = weight_scratch.view(weights, begin, count);
      double total = detail::dot(weight, log_prob);
      if (!std::isfinite(total)) {  // perhaps by tokens of weight 0
        for (std::size_t k = 0; k < block; ++k) terms[k] = detail::keep_if(weight[k] != 0, log_prob[k]);
        total = detail::dot(weight, terms.data);
      }
      result.value -= total;
      if constexpr (Gradient) detail::store_negative(weight, result.d_log_probs.data() + begin, count);
    }
    detail::require_finite(result.value, "nll_loss");
    return result;
  }
};

}  // namespace coho
