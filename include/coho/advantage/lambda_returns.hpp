#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include <coho/advantage/advantage_inputs.hpp>
#include <coho/advantage/detail/count_real.hpp>
#include <coho/advantage/detail/scan_backwards.hpp>
#include <coho/advantage/gae.hpp>
#include <coho/check_lengths.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct lambda_returns_fn {
  /// TD(λ) returns (Sutton & Barto 2018, §12.1; in this form Hafner et al. 2021, "Mastering Atari with Discrete World
  /// Models", eq. 4) over N packed sequences: a mean of the n-step returns, the targets of a value model.
  ///
  ///     G_t = r_t + γ·((1 − λ)·V_{t+1} + λ·G_{t+1})
  ///
  /// with V and G zero after the last token of each sequence. λ = 1 gives rewards to come, λ = 0 one-step targets.
  /// These are the `returns` of `gae` (G_t = A_t + V_t) without the advantages, and λ is theirs: `returns_lambda`, or
  /// else that of the advantages. V of a sequence's first token is not read.
  ///
  /// Takes `advantage_inputs` (arrays, ranges or tensors) and the options of `gae`. Tokens whose mask is 0 are skipped
  /// as if absent, neither read nor discounted over, and their result is 0. Returns an Eigen array of the
  /// rewards' number type (a tensor for a tensor, detached). Throws option_error (gamma, lambda outside [0, 1]),
  /// argument_error (lengths, offsets, a non-finite result).
  ///
  ///     std::vector<double> rewards{0, 0, 1}, values{0, 0, 1};
  ///     std::vector<std::size_t> offsets{0, 3};
  ///     const coho::gae_options options{.gamma = 0.9, .lambda = 0.95};
  ///     auto returns = coho::lambda_returns({.rewards = rewards, .values = values, .offsets = offsets}, options);  // 0.7695 0.9 1
  template <class Array = double>
  auto operator()(const advantage_inputs<Array>& in, const gae_options& options = {}) const {
    if constexpr (detail::device_array<Array>) {
      return detail::from_host_as((*this)(detail::host_inputs(in), options), in.rewards);
    } else {
      validate(options);
      const auto size = static_cast<std::size_t>(in.rewards.size());
      detail::check_lengths(size, static_cast<std::size_t>(in.values.size()), "lambda_returns", "values");
      detail::check_offsets(in.offsets, size, "lambda_returns");
      return detail::with_mask(in.mask, size, "lambda_returns",
                               [&](const auto& mask) { return discounted_returns(in, mask, options); });
    }
  }

 private:
  // The recursion above with V_{t+1} and G_{t+1} as the state of a backward scan, in double.
  template <class Number, class Mask>
  static auto discounted_returns(const advantage_inputs<Number>& in, const Mask& mask, const gae_options& options) {
    detail::array_of<Number> result(in.rewards.size());
    const Number *const rewards = in.rewards.data(), *const values = in.values.data();
    Number* const returns = result.data();
    const double gamma = options.gamma;
    struct state {
      double lambda, next_value = 0, next_return = 0;
    };
    const auto start = [&](std::size_t i) {
      return state{options.target_lambda(detail::count_real(mask, in.offsets[i], in.offsets[i + 1]))};
    };
    detail::scan_backwards(in.offsets, start, [=](std::size_t t, state& s) {
      if (mask[t] == 0) {
        returns[t] = 0;
        return;
      }
      s.next_return =
          static_cast<double>(rewards[t]) + gamma * (1 - s.lambda) * s.next_value + gamma * s.lambda * s.next_return;
      s.next_value = static_cast<double>(values[t]);
      returns[t] = static_cast<Number>(s.next_return);
    });
    require_argument(detail::all_finite(result),
                     "lambda_returns: a result is not finite; a real token holds NaN or infinity");
    return result;
  }
};
inline constexpr lambda_returns_fn lambda_returns{};

}  // namespace coho::inline v0_1
