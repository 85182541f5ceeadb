#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <ranges>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/reduce.hpp>
#include <coho/reward/breakdown.hpp>
#include <coho/reward/empty_response.hpp>
#include <coho/reward/normalization.hpp>
#include <coho/reward/shaping.hpp>

namespace coho::inline v0_1 {

namespace detail {

/// A bonus that names its parts: `parts(query)` returns a range of reward_part.
template <class Bonus>
concept bonus_with_parts = requires(Bonus& bonus, const reward_query& query) {
  { *std::begin(bonus.parts(query)) } -> std::convertible_to<reward_part>;
};

}  // namespace detail

struct compose_reward_fn {
  /// The reward of one response as far as it depends only on that response:
  ///
  ///     clip((model_score − mean) / deviation) + Σ bonus
  ///
  /// `bonus`: `double(const reward_query&)`. One that offers `parts(query)`, a range of reward_part, is asked for those
  /// instead; otherwise the breakdown has one part, "bonus". Throws option_error (normalization).
  ///
  ///     coho::reward_breakdown parts = coho::compose_reward(score, bonus, query, {.mean = 1, .deviation = 2});
  template <class Bonus>
  reward_breakdown operator()(double model_score, Bonus& bonus, const reward_query& query,
                              const normalize_options& normalization = {}) const {
    reward_breakdown out{.score = normalize_rewards(model_score, normalization)};
    if constexpr (detail::bonus_with_parts<Bonus>) {
      for (auto&& one : bonus.parts(query)) out.bonus.push_back(std::forward<decltype(one)>(one));
    } else {
      out.bonus.push_back({.name = "bonus", .value = static_cast<double>(bonus(query))});
    }
    return out;
  }
};
inline constexpr compose_reward_fn compose_reward{};

/// Named inputs of `settle_rewards`, for the N responses of a step on this rank.
struct settle_rewards_inputs {
  Eigen::ArrayXd& rewards;                   ///< N numbers, changed
  std::span<reward_breakdown> breakdowns{};  ///< N, completed; or none
  std::span<const std::uint8_t> finished{};  ///< N flags; none at all: all are finished
  std::span<const std::uint8_t> empty{};     ///< N flags; none at all: none is empty
};

struct settle_rewards_fn {
  /// The part of rewards that depends on a whole step: under the rule `lowest` an empty response counts as no
  /// answer: its reward becomes that of the worst answer (`rank_empty_last`), and it counts as unfinished.
  ///
  /// Returns flags, 1 for responses that are spared the penalty for unfinished ones, or none if all are spared; pass
  /// them to `shape_rewards`. All ranks call together. Throws argument_error (lengths).
  ///
  ///     const auto finished = coho::settle_rewards({.rewards = rewards, .breakdowns = breakdowns,
  ///                                                 .finished = rollouts.finished, .empty = rollouts.empty},
  ///                                                coho::empty_response_rule::lowest, shaping, ranks);
  template <communicator Communicator = const local_communicator>
  std::vector<std::uint8_t> operator()(const settle_rewards_inputs& in, empty_response_rule rule,
                                       const shaping_options& shaping,
                                       Communicator&& ranks = local_communicator{}) const {
    const auto& [rewards, breakdowns, finished, empty] = in;
    const auto count = static_cast<std::size_t>(rewards.size());
    if (!breakdowns.empty()) detail::check_lengths(count, breakdowns.size(), "settle_rewards", "breakdowns");
    if (!finished.empty()) detail::check_lengths(count, finished.size(), "settle_rewards", "finished");
    const bool lowest = rule == empty_response_rule::lowest;
    if (lowest) rewards = rank_empty_last(rewards, empty, ranks);
    std::vector<std::uint8_t> settled(finished.begin(), finished.end());
    if (lowest && settled.empty()) settled.assign(empty.size(), 1);
    for (std::size_t i = 0; lowest && i < empty.size(); ++i) settled[i] = settled[i] != 0 && empty[i] == 0 ? 1 : 0;
    for (std::size_t i = 0; i < breakdowns.size(); ++i) {
      reward_breakdown& parts = breakdowns[i];
      parts.empty = parts.unfinished = 0;
      if (lowest && i < empty.size() && empty[i] != 0)
        parts.empty = rewards(static_cast<Eigen::Index>(i)) - parts.earned();
      if (!settled.empty() && settled[i] == 0) parts.unfinished = shaping.penalty_on(parts.earned());
    }
    return settled;
  }
};
inline constexpr settle_rewards_fn settle_rewards{};

}  // namespace coho::inline v0_1
