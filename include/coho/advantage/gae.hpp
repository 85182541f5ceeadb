#pragma once

#include <algorithm>
#include <cmath>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace coho {

struct gae_options {
  double gamma = 1;   ///< discount per token, in [0, 1]
  double lambda = 1;  ///< 1: return minus value (high variance); 0: one-step errors (high bias); in [0, 1]

  static void describe(auto&& visit, auto&... o) {
    visit({"gamma", "discount per token", allowed::in(0, 1)}, o.gamma...);
    visit({"lambda", "1: return minus value (high variance); 0: one-step errors (high bias)", allowed::in(0, 1)},
          o.lambda...);
  }
};

template <class Array>
struct gae_result {
  Array advantages;  ///< one a token
  Array returns;     ///< advantages + values: the value model's targets
};

namespace detail {

/// Calls step(t, state) for the tokens t of each sequence from its last to its first, from a fresh State, and
/// finish(i, state) after each sequence. Two sequences take turns: what is computed of a token waits for its successor,
/// and the other sequence fills the wait.
template <class State, class Step, class Finish>
void scan_backwards(std::span<const std::size_t> offsets, const Step& step, const Finish& finish) {
  const std::size_t count = offsets.size() - 1;
  std::size_t i = 0;
  for (; i + 1 < count; i += 2) {
    State first{}, second{};
    std::size_t t = offsets[i + 1], u = offsets[i + 2];
    // One goes ahead: side by side, sequences of 4 KiB would be in each other's way in the cache.
    std::size_t together = std::min(t - offsets[i], u - offsets[i + 1]), ahead = std::min<std::size_t>(together, 32);
    for (together -= ahead; ahead > 0; --ahead) step(--t, first);
    for (; together > 0; --together) {
      step(--t, first);
      step(--u, second);
    }
    while (t > offsets[i]) step(--t, first);
    while (u > offsets[i + 1]) step(--u, second);
    finish(i, first);
    finish(i + 1, second);
  }
  if (i < count) {
    State last{};
    for (std::size_t t = offsets[i + 1]; t > offsets[i];) step(--t, last);
    finish(i, last);
  }
}

/// Whether no number is NaN or infinite.
template <class Number>
bool all_finite(const array_of<Number>& x) noexcept {
  constexpr Eigen::Index part = 1024;
  Number defect = 0;
  for (Eigen::Index begin = 0; begin < x.size(); begin += part) {
    const auto some = x.segment(begin, std::min(part, x.size() - begin));
    defect += (some - some).sum();
  }
  return defect == 0;
}

}  // namespace detail

struct gae_fn {
  /// Generalised advantage estimation (Schulman et al. 2016, eqs. 11 and 16) over N packed sequences:
  ///
  ///     δ_t = r_t + γ·V_{t+1} − V_t,   A_t = δ_t + γλ·A_{t+1},   R_t = A_t + V_t
  ///
  /// with V and A zero after the last token of each sequence, whether it ended by itself or was cut.
  ///
  /// `rewards`, `values`: one a token (arrays, ranges or tensors; V_t read before y_t is seen). `offsets`: N + 1
  /// entries. `mask` (optional): 0 marks tokens that are not part of the response; they are skipped as if they were not
  /// there, neither read nor discounted over, and their results are 0. Returns Eigen arrays of the rewards' number type
  /// (tensors for tensors, detached). Throws option_error (gamma, lambda outside [0, 1]), argument_error (lengths,
  /// offsets, a reward or value of a real token that is not finite).
  ///
  ///     std::vector<std::size_t> offsets{0, 3};
  ///     auto [advantages, returns] = coho::gae(rewards, values, offsets, {.gamma = 1, .lambda = 0.95});
  ///     // rewards 0 0 1, values 0 0 0 → advantages 0.9025 0.95 1
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
  [[noreturn]] static void refuse(std::size_t sequence) {
    throw argument_error("gae: a reward or value of sequence " + std::to_string(sequence) + " is not finite");
  }

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
    auto advantages = detail::back_to(std::move(result.advantages), rewards);
    auto returns = detail::back_to(std::move(result.returns), rewards);
    return gae_result<decltype(advantages)>{std::move(advantages), std::move(returns)};
  }

  template <class Number, class R, class V, class Mask>
  static gae_result<detail::array_of<Number>> run(const R& rewards, const V& values, const Mask& mask,
                                                  std::span<const std::size_t> offsets, const gae_options& options) {
    validate(options);
    detail::check_lengths(rewards.size(), values.size(), "gae", "values");
    detail::check_lengths(rewards.size(), mask.size(), "gae", "mask");
    detail::check_offsets(offsets, rewards.size(), "gae");

    const auto size = static_cast<Eigen::Index>(rewards.size());
    gae_result<detail::array_of<Number>> result{detail::array_of<Number>(size), detail::array_of<Number>(size)};
    Number* const advantages = result.advantages.data();
    Number* const returns = result.returns.data();
    const double gamma = options.gamma, decay = options.gamma * options.lambda;
    struct state {
      double next_value = 0, next_advantage = 0;
    };
    const auto step = [=](std::size_t t, state& s) {
      if (mask[t] == 0) {
        advantages[t] = returns[t] = 0;
        return;
      }
      const double value = static_cast<double>(values[t]);
      const double error = static_cast<double>(rewards[t]) + gamma * s.next_value - value;
      s.next_advantage = error + decay * s.next_advantage;
      s.next_value = value;
      advantages[t] = static_cast<Number>(s.next_advantage);
      returns[t] = static_cast<Number>(s.next_advantage + value);
    };
    detail::scan_backwards<state>(offsets, step, [](std::size_t i, const state& s) {
      // What is not finite stays so up to the first token.
      if (!std::isfinite(s.next_advantage)) refuse(i);
    });
    return result;
  }
};
inline constexpr gae_fn gae{};

}  // namespace coho
