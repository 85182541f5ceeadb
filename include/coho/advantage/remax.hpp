#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include <coho/advantage/gae.hpp>
#include <coho/advantage/group_relative.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct remax_fn {
  /// ReMax (Li et al. 2023, "ReMax", arXiv 2310.10505): the reward of the greedy response to the same prompt
  /// (temperature 0, same policy) is the baseline. It does not depend on the sampled response, so the gradient is
  /// unbiased.
  ///
  ///     A_i = r_i − r(x, greedy response to x)
  ///
  /// `rewards`: one per response; `greedy_rewards`: one per response or, with `groups`, per prompt; group g is the
  /// responses [groups[g], groups[g + 1]). Arrays, ranges, tensors, or two numbers. Returns one advantage per response,
  /// an Eigen array of the rewards' number type (a tensor for a tensor, detached); `sequence_spread` expands them to
  /// tokens. With a KL penalty in token rewards: `return_to_go` of those, less the greedy rewards spread over tokens.
  /// Throws argument_error (lengths, offsets; a non-finite advantage).
  ///
  ///     std::vector<double> rewards{1, 0, 1}, greedy_rewards{1, 0.5};
  ///     std::vector<std::size_t> groups{0, 2, 3};
  ///     auto advantages = coho::remax(rewards, greedy_rewards, groups);  // 0 −1 0.5
  template <class Rewards, class Greedy>
  auto operator()(const Rewards& rewards, const Greedy& greedy_rewards) const {
    static_assert(detail::array_check<Rewards, Greedy>::passed);
    if constexpr (detail::floating_scalar<Rewards>) {
      const double advantage = static_cast<double>(rewards) - static_cast<double>(greedy_rewards);
      require_finite(advantage, 0);
      return advantage;
    } else {
      const auto& greedy_local = detail::on_host(greedy_rewards);
      const auto greedy = detail::host_elements(greedy_local);
      return subtract_baselines(rewards, [&](std::size_t size) {
        detail::check_lengths(size, greedy.size(), "remax", "greedy_rewards");
        return [&greedy](std::size_t i) { return static_cast<double>(greedy[i]); };
      });
    }
  }
  template <class Rewards, class Greedy>
  auto operator()(const Rewards& rewards, const Greedy& greedy_rewards, std::span<const std::size_t> groups) const {
    static_assert(detail::array_check<Rewards, Greedy>::passed);
    const auto& greedy_local = detail::on_host(greedy_rewards);
    const auto greedy = detail::host_elements(greedy_local);
    return subtract_baselines(rewards, [&](std::size_t size) {
      detail::check_groups(groups, size, "remax");
      detail::check_lengths(groups.size() - 1, greedy.size(), "remax", "greedy_rewards");
      return [&greedy, groups, g = std::size_t{0}](std::size_t i) mutable {
        while (groups[g + 1] <= i) ++g;
        return static_cast<double>(greedy[g]);
      };
    });
  }

 private:
  // Throws argument_error, naming response i, where its advantage is NaN or infinite.
  static void require_finite(double advantage, std::size_t i) {
    if (!(advantage - advantage == 0)) {
      throw argument_error("remax: the advantage of response " + std::to_string(i) + " is not finite");
    }
  }

  // `make_baseline(n)` checks, and returns a function from response index, in ascending order, to baseline.
  template <class Rewards, class MakeBaseline>
  static auto subtract_baselines(const Rewards& rewards, MakeBaseline make_baseline) {
    const auto& host = detail::on_host(rewards);
    const auto elements = detail::host_elements(host);
    using number = detail::host_number_t<decltype(host)>;
    auto baseline = make_baseline(elements.size());
    detail::array_of<number> out(static_cast<Eigen::Index>(elements.size()));
    number* const to = out.data();
    const auto advantage = [&](std::size_t i) {
      return static_cast<number>(static_cast<double>(elements[i]) - baseline(i));
    };
    // Non-finite values are detected in the same pass: no sum stays finite. (Nor does one that overflows.)
    constexpr std::size_t lanes = 8;
    using several = Eigen::Array<number, lanes, 1>;
    several sums = several::Zero(), some;
    std::size_t i = 0;
    for (; elements.size() - i >= lanes; i += lanes) {
      for (std::size_t k = 0; k < lanes; ++k) some.data()[k] = advantage(i + k);
      Eigen::Map<several>{to + i} = some;
      sums += some;
    }
    for (; i < elements.size(); ++i) {
      to[i] = advantage(i);
      sums[0] += to[i];
    }
    if (!std::isfinite(sums.sum())) {
      for (i = 0; i < elements.size(); ++i) require_finite(static_cast<double>(to[i]), i);
    }
    return detail::from_host_as(std::move(out), rewards);
  }
};
inline constexpr remax_fn remax{};

}  // namespace coho::inline v0_1
