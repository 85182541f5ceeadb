#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include <coho/advantage/advantage_inputs.hpp>
#include <coho/advantage/detail/count_real.hpp>
#include <coho/check_lengths.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct gae_options {
  double gamma = 1;   ///< discount per token, in [0, 1]
  double lambda = 1;  ///< 1: return minus value (high variance); 0: one-step errors (high bias); in [0, 1]
  /// λ of the returns, the value model's targets; none: that of the advantages.
  std::optional<double> returns_lambda{};
  /// α of a λ that grows with a sequence's n tokens, max(0, 1 − 1/(α·n)), in place of `lambda`, which then is 1; 0:
  /// off.
  double length_alpha = 0;

  /// λ of the advantages of a sequence of `tokens` tokens, and of its returns.
  double advantage_lambda(std::size_t tokens) const noexcept {
    if (length_alpha == 0) return lambda;
    return std::max(0.0, 1 - 1 / (length_alpha * static_cast<double>(tokens)));
  }
  double target_lambda(std::size_t tokens) const noexcept {
    return returns_lambda ? *returns_lambda : advantage_lambda(tokens);
  }

  static void describe(auto&& visit, auto&... o) {
    visit({"gamma", "discount per token", allowed::in(0, 1)}, o.gamma...);
    visit({"lambda", "1: return minus value (high variance); 0: one-step errors (high bias)", allowed::in(0, 1)},
          o.lambda...);
    visit({"returns_lambda", "λ of the returns, the value model's targets; none: lambda's", allowed::in(0, 1)},
          o.returns_lambda...);
    visit({"length_alpha", "α of λ = 1 − 1/(α·tokens), by a response's length in place of lambda; 0: off",
           allowed::at_least(0)},
          o.length_alpha...);
  }
  void check_constraints(const std::string& prefix) const {
    require_option(length_alpha == 0 || lambda == 1, prefix + "lambda", lambda, "1 where length_alpha replaces it");
  }
};

template <class Array>
struct gae_result {
  Array advantages;  ///< one per token
  Array returns;     ///< values + advantages by the returns' own λ: the value model's targets
};

struct gae_fn {
  /// Generalised advantage estimation (Schulman et al. 2016, eqs. 11 and 16) over N packed sequences:
  ///
  ///     δ_t = r_t + γ·V_{t+1} − V_t,   A_t = δ_t + γλ·A_{t+1},   R_t = A_t + V_t
  ///
  /// R may have a λ of its own, and λ may grow with the length of a sequence (Yuan et al. 2025, VAPO, §4.1 and §4.2,
  /// where they are 1 and α = 0.05):
  ///
  ///     R_t = A'_t + V_t,   A'_t = δ_t + γλ'·A'_{t+1};    λ = 1 − 1/(α·n) for n tokens
  ///
  /// with V and A zero after the last token of each sequence, whether it ended by itself or was truncated.
  ///
  /// Takes `advantage_inputs`: arrays, ranges or tensors. Tokens whose mask is 0 are skipped as if absent:
  /// neither read nor discounted over, and their results are 0. Returns Eigen arrays of the rewards' number type
  /// (tensors for tensors, detached). Throws option_error (a λ or gamma outside
  /// [0, 1], lambda next to length_alpha), argument_error (lengths,
  /// offsets, a reward or value of a real token that is not finite).
  ///
  ///     std::vector<std::size_t> offsets{0, 3};
  ///     auto [advantages, returns] =
  ///         coho::gae({.rewards = rewards, .values = values, .offsets = offsets}, {.gamma = 1, .lambda = 0.95});
  ///     // rewards 0 0 1, values 0 0 0 → advantages 0.9025 0.95 1
  template <class Array = double>
  auto operator()(const advantage_inputs<Array>& in, const gae_options& options = {}) const {
    if constexpr (detail::device_array<Array>) {
      auto result = (*this)(detail::host_inputs(in), options);
      return gae_result<Array>{detail::from_host_as(std::move(result.advantages), in.rewards),
                               detail::from_host_as(std::move(result.returns), in.rewards)};
    } else {
      validate(options);
      const auto size = static_cast<std::size_t>(in.rewards.size());
      detail::check_lengths(size, static_cast<std::size_t>(in.values.size()), "gae", "values");
      detail::check_offsets(in.offsets, size, "gae");
      return detail::with_mask(in.mask, size, "gae", [&](const auto& mask) { return estimate(in, mask, options); });
    }
  }

 private:
  // The recursion from the last token of each sequence to the first, in double. Two running numbers, V_{t+1} and
  // A_{t+1}, instead of arrays.
  template <class Number, class Mask>
  static auto estimate(const advantage_inputs<Number>& in, const Mask& mask, const gae_options& options) {
    using array = detail::array_of<Number>;
    gae_result<array> result{array(in.rewards.size()), array(in.rewards.size())};
    const Number *const rewards = in.rewards.data(), *const values = in.values.data();
    Number *const advantages = result.advantages.data(), *const returns = result.returns.data();
    const double gamma = options.gamma;
    for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
      const std::size_t tokens =
          options.length_alpha > 0 ? detail::count_real(mask, in.offsets[i], in.offsets[i + 1]) : 0;
      const double decay = gamma * options.advantage_lambda(tokens),
                   target_decay = gamma * options.target_lambda(tokens);
      double next_value = 0, advantage = 0, target = 0;  // target: A'
      for (std::size_t t = in.offsets[i + 1]; t-- > in.offsets[i];) {
        if (mask[t] == 0) {
          advantages[t] = returns[t] = 0;
          continue;
        }
        const double value = static_cast<double>(values[t]);
        const double error = static_cast<double>(rewards[t]) + gamma * next_value - value;
        advantage = error + decay * advantage;
        target = error + target_decay * target;
        next_value = value;
        advantages[t] = static_cast<Number>(advantage);
        returns[t] = static_cast<Number>(target + value);
      }
      // Non-finite values propagate to the first token.
      if (!std::isfinite(advantage) || !std::isfinite(target)) throw_not_finite(i);
    }
    return result;
  }

  // Names the sequence, since a non-finite number spreads from its token to the sequence's start.
  [[noreturn]] static void throw_not_finite(std::size_t sequence) {
    throw argument_error("gae: a reward or value of sequence " + std::to_string(sequence) + " is not finite");
  }
};
inline constexpr gae_fn gae{};

}  // namespace coho::inline v0_1
