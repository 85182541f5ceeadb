#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include <coho/advantage/detail/scan_backwards.hpp>
#include <coho/check_lengths.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct return_to_go_options {
  double gamma = 1;  ///< discount per token, in [0, 1]

  static void describe(auto&& visit, auto&... o) {
    visit({"gamma", "discount per token", allowed::in(0, 1)}, o.gamma...);
  }
};

namespace detail {

/// G_t of `return_to_go`, 0 where the mask is 0. Throws as `return_to_go`, under the name `who`, except for results
/// that are not finite: these are left to the caller.
template <class Number>
struct discounted_sums {
  array_of<Number> values;

  template <class R, class Mask>
  discounted_sums(const R& rewards, const Mask& mask, std::span<const std::size_t> offsets, double gamma,
                  const char* who)
      : values(static_cast<Eigen::Index>(rewards.size())) {
    validate(return_to_go_options{gamma});
    check_lengths(rewards.size(), mask.size(), who, "mask");
    check_offsets(offsets, rewards.size(), who);
    Number* const out = values.data();
    struct state {
      double next = 0;
    };
    const auto step = [=](std::size_t t, state& s) {
      if (mask[t] == 0) {
        out[t] = 0;
        return;
      }
      s.next = static_cast<double>(rewards[t]) + gamma * s.next;
      out[t] = static_cast<Number>(s.next);
    };
    scan_backwards<state>(offsets, step);
  }
};

}  // namespace detail

struct return_to_go_fn {
  /// Discounted rewards to come (Williams 1992, REINFORCE; Sutton & Barto 2018, eq. 3.9) over N packed sequences:
  ///
  ///     G_t = r_t + γ·G_{t+1},   0 after the last token of each sequence
  ///
  /// It is `gae` without values and with λ = 1: the advantage of algorithms without a value model. `rewards`: one per
  /// token (array, range or tensor). `offsets`: N + 1 entries. `mask` (optional): 0 marks tokens that are not part of
  /// the response, such as tool output in the middle. They are skipped as if absent: not read, not
  /// discounted over, and their result is 0. With γ = 0.5 the rewards 0 0 · · 2 give 0.5 1 0 0 2: the two dots cost no
  /// discount. Returns an Eigen array of the rewards' number type (a tensor for a tensor, detached). Throws
  /// option_error (gamma), argument_error (lengths, offsets, a non-finite result).
  ///
  ///     std::vector<double> rewards{0, 0, 1};
  ///     std::vector<std::size_t> offsets{0, 3};
  ///     auto returns = coho::return_to_go(rewards, offsets, {.gamma = 0.5});  // 0.25 0.5 1
  template <class Rewards>
  auto operator()(const Rewards& rewards, std::span<const std::size_t> offsets,
                  const return_to_go_options& options = {}) const {
    return masked_returns(rewards, nullptr, offsets, options);
  }
  template <class Rewards, class Mask>
  auto operator()(const Rewards& rewards, const Mask& mask, std::span<const std::size_t> offsets,
                  const return_to_go_options& options = {}) const {
    if constexpr (!detail::host_array<Mask>) static_assert(detail::array_check<Mask>::passed);
    return masked_returns(rewards, &mask, offsets, options);
  }

 private:
  // `mask`: a pointer to the caller's, or nullptr if all tokens are real.
  template <class Rewards, class Mask>
  static auto masked_returns(const Rewards& rewards, Mask mask, std::span<const std::size_t> offsets,
                             const return_to_go_options& options) {
    if constexpr (!detail::host_array<Rewards>) static_assert(detail::array_check<Rewards>::passed);
    const auto& rewards_local = detail::on_host(rewards);
    const auto r = detail::host_elements(rewards_local);
    using sums = detail::discounted_sums<detail::host_number_t<decltype(rewards_local)>>;
    auto result = [&] {
      if constexpr (std::is_null_pointer_v<Mask>) {
        return sums(r, detail::all_real{r.size()}, offsets, options.gamma, "return_to_go");
      } else {
        const auto& mask_local = detail::on_host(*mask);
        return sums(r, detail::host_elements(mask_local), offsets, options.gamma, "return_to_go");
      }
    }();
    require_argument(detail::all_finite(result.values),
                     "return_to_go: a result is not finite; a real token holds NaN or infinity");
    return detail::from_host_as(std::move(result.values), rewards);
  }
};
inline constexpr return_to_go_fn return_to_go{};

}  // namespace coho::inline v0_1
