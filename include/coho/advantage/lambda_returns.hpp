#pragma once

#include <coho/advantage/gae.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace coho {

struct lambda_returns_fn {
  /// TD(λ) returns (Sutton & Barto 2018, §12.1; in this form Hafner et al. 2021, "Mastering Atari with Discrete World
  /// Models", eq. 4) over N packed sequences: a mean of the n-step returns, the targets of a value model.
  ///
  ///     G_t = r_t + γ·((1 − λ)·V_{t+1} + λ·G_{t+1})
  ///
  /// with V and G zero after the last token of each sequence. λ = 1 gives rewards to come, λ = 0 one-step targets.
  /// These are the `returns` of `gae` (G_t = A_t + V_t) without the advantages; V of a sequence's first token is not
  /// read.
  ///
  /// `rewards`, `values`: one a token (arrays, ranges or tensors; V_t read before y_t is seen). `offsets`: N + 1
  /// entries. `mask` (optional): 0 marks tokens that are not part of the response; they are skipped as if they were not
  /// there, neither read nor discounted over, and their result is 0. Takes the options of `gae`. Returns an Eigen array
  /// of the rewards' number type (a tensor for a tensor, detached). Throws option_error (gamma, lambda outside [0, 1]),
  /// argument_error (lengths, offsets, a result that is not finite).
  ///
  ///     std::vector<double> rewards{0, 0, 1}, values{0, 0, 1};
  ///     std::vector<std::size_t> offsets{0, 3};
  ///     const coho::gae_options options{.gamma = 0.9, .lambda = 0.95};
  ///     auto returns = coho::lambda_returns(rewards, values, offsets, options);  // 0.7695 0.9 1
  template <class Rewards, class Values>
  auto operator()(const Rewards& rewards, const Values& values, std::span<const std::size_t> offsets,
                  const gae_options& options = {}) const {
    return with_mask(rewards, values, nullptr, offsets, options);
  }
  template <class Rewards, class Values, class Mask>
  auto operator()(const Rewards& rewards, const Values& values, const Mask& mask, std::span<const std::size_t> offsets,
                  const gae_options& options = {}) const {
    if constexpr (!detail::host_array<Mask>) static_assert(detail::array_check<Mask>::passed);
    return with_mask(rewards, values, &mask, offsets, options);
  }

 private:
  template <class Rewards, class Values, class Mask>
  static auto with_mask(const Rewards& rewards, const Values& values, Mask mask, std::span<const std::size_t> offsets,
                        const gae_options& options) {
    if constexpr (!detail::host_array<Rewards>) static_assert(detail::array_check<Rewards>::passed);
    if constexpr (!detail::host_array<Values>) static_assert(detail::array_check<Values>::passed);
    const auto& rewards_local = detail::on_host(rewards);
    const auto& values_local = detail::on_host(values);
    const auto r = detail::host_elements(rewards_local);
    const auto v = detail::host_elements(values_local);
    using number = detail::host_number_t<decltype(rewards_local)>;
    auto result = [&] {
      if constexpr (std::is_null_pointer_v<Mask>) {
        return run<number>(r, v, detail::all_real{r.size()}, offsets, options);
      } else {
        const auto& mask_local = detail::on_host(*mask);
        return run<number>(r, v, detail::host_elements(mask_local), offsets, options);
      }
    }();
    return detail::back_to(std::move(result), rewards);
  }

  template <class Number, class R, class V, class Mask>
  static detail::array_of<Number> run(const R& rewards, const V& values, const Mask& mask,
                                      std::span<const std::size_t> offsets, const gae_options& options) {
    require_option(options.gamma >= 0 && options.gamma <= 1, "gamma", options.gamma, "in [0, 1]");
    require_option(options.lambda >= 0 && options.lambda <= 1, "lambda", options.lambda, "in [0, 1]");
    detail::check_lengths(rewards.size(), values.size(), "lambda_returns", "values");
    detail::check_lengths(rewards.size(), mask.size(), "lambda_returns", "mask");
    detail::check_offsets(offsets, rewards.size(), "lambda_returns");

    detail::array_of<Number> result(static_cast<Eigen::Index>(rewards.size()));
    Number* const returns = result.data();
    const double one_step = options.gamma * (1 - options.lambda), decay = options.gamma * options.lambda;
    struct state {
      double next_value = 0, next_return = 0;
    };
    const auto step = [=](std::size_t t, state& s) {
      if (mask[t] == 0) {
        returns[t] = 0;
        return;
      }
      s.next_return = static_cast<double>(rewards[t]) + one_step * s.next_value + decay * s.next_return;
      s.next_value = static_cast<double>(values[t]);
      returns[t] = static_cast<Number>(s.next_return);
    };
    detail::scan_backwards<state>(offsets, step, [](std::size_t, const state&) {});
    require_argument(detail::all_finite(result),
                     "lambda_returns: a result is not finite; a real token holds NaN or infinity");
    return result;
  }
};
inline constexpr lambda_returns_fn lambda_returns{};

}  // namespace coho
