#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/detail/if_called.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/packed.hpp>
#include <coho/principle/prompt_type.hpp>
#include <coho/reward/breakdown.hpp>

namespace coho::inline v0_1 {

/// One prompt of a reinforcement-learning step, ready to be answered: principles are already drawn and composed.
struct rl_prompt {
  std::vector<token> tokens{};
  /// What the reward model sees as the prompt; empty: decoded from `tokens` where there is a decoder.
  std::string text{};
  prompt_type type = prompt_type::general;  ///< carried for callbacks
  double length_multiplier = 1.0;
  std::vector<std::string> principles{};  ///< the guideline of this prompt in this step, one line per principle
  /// Names the random stream of this rollout; unique among the prompts of a step (over all ranks). Samples of one
  /// prompt need different keys: equal keys give equal samples.
  std::uint64_t key = 0;
  /// The context that the value model sees in place of `tokens`, e.g. with the principles in it; empty: `tokens`.
  std::vector<token> value_tokens{};
};

/// The rollouts of one PPO step: on one rank as they are collected, of all ranks once they are gathered. Flat arrays
/// are laid out as `batch.responses.values`.
struct trajectory_batch {
  std::vector<rl_prompt> prompts;
  token_batch batch;
  packed<token> value_prompts;              ///< empty: the value model sees `batch.prompts`
  std::vector<std::string> prompt_texts;    ///< empty strings without text and decoder
  std::vector<std::string> response_texts;  ///< empty strings without a decoder
  std::vector<std::uint8_t> finished;
  std::vector<std::uint8_t> empty;     ///< whether the response's text is blank; all 0 without a decoder
  Eigen::ArrayXd recorded_log_probs;   ///< from the sampler, [tokens]
  Eigen::ArrayXd old_log_probs;        ///< the denominators of the ratios, [tokens]
  Eigen::ArrayXd reference_log_probs;  ///< [tokens]
  Eigen::ArrayXd values;               ///< V_t before the update, [tokens]
  Eigen::ArrayXd model_scores;         ///< as the reward model gave them, [sequences]
  Eigen::ArrayXd sequence_rewards;     ///< normalised, with bonuses, those of empty responses by rule, [sequences]
  std::vector<reward_breakdown> breakdowns;  ///< their parts, [sequences]; none if not composed by parts
  Eigen::ArrayXd rewards;                    ///< shaped token rewards, [tokens]
  double shaped_reward_sum = 0;              ///< over all positions, rewarded padding included
  Eigen::ArrayXd advantages;                 ///< [tokens]
  Eigen::ArrayXd returns;                    ///< [tokens]

  std::size_t size() const noexcept { return batch.size(); }
  std::size_t tokens() const noexcept { return batch.responses.total(); }

  /// The tokens that the value model sees.
  template <class = detail::if_called>
  token_batch value_batch() const {
    return {value_prompts.empty() ? batch.prompts : value_prompts, batch.responses};
  }

  /// The reward model's query for rollout i. Refers to this object.
  template <class = detail::if_called>
  reward_query query(std::size_t i) const {
    return {.prompt_tokens = batch.prompts[i],
            .response_tokens = batch.responses[i],
            .prompt = prompt_texts[i],
            .response = response_texts[i],
            .principles = detail::span_of(prompts[i].principles),
            .finished = finished[i] != 0,
            .length_multiplier = prompts[i].length_multiplier};
  }
  /// The queries of all rollouts, in order.
  template <class = detail::if_called>
  std::vector<reward_query> queries() const {
    std::vector<reward_query> out;
    out.reserve(size());
    for (std::size_t i = 0; i < size(); ++i) out.push_back(query(i));
    return out;
  }
};

namespace detail {

/// References to all members of an object, in the order of their declaration. Structured bindings name every member, so
/// that a new member missing here does not compile.
template <class Prompt>
  requires std::same_as<std::remove_const_t<Prompt>, rl_prompt>
constexpr auto tie_fields(Prompt& prompt) {
  auto& [tokens, text, type, length_multiplier, principles, key, value_tokens] = prompt;
  return std::tie(tokens, text, type, length_multiplier, principles, key, value_tokens);
}
template <class Part>
  requires std::same_as<std::remove_const_t<Part>, reward_part>
constexpr auto tie_fields(Part& part) {
  auto& [name, value] = part;
  return std::tie(name, value);
}
template <class Breakdown>
  requires std::same_as<std::remove_const_t<Breakdown>, reward_breakdown>
constexpr auto tie_fields(Breakdown& breakdown) {
  auto& [score, bonus, empty, unfinished] = breakdown;
  return std::tie(score, bonus, empty, unfinished);
}
template <class Batch>
  requires std::same_as<std::remove_const_t<Batch>, trajectory_batch>
constexpr auto tie_fields(Batch& rollouts) {
  auto& [prompts, batch, value_prompts, prompt_texts, response_texts, finished, empty, recorded_log_probs,
         old_log_probs, reference_log_probs, values, model_scores, sequence_rewards, breakdowns, rewards,
         shaped_reward_sum, advantages, returns] = rollouts;
  return std::tie(prompts, batch, value_prompts, prompt_texts, response_texts, finished, empty, recorded_log_probs,
                  old_log_probs, reference_log_probs, values, model_scores, sequence_rewards, breakdowns, rewards,
                  shaped_reward_sum, advantages, returns);
}

template <class Object>
concept with_fields = requires(Object& object) { tie_fields(object); };

}  // namespace detail

struct for_each_field_fn {
  /// Calls `visitor(member)` for each member of a trajectory_batch, rl_prompt, reward_breakdown or reward_part, in the
  /// order of their declaration: code that copies, joins or writes rollouts names no member and misses none.
  ///
  ///     std::size_t members = 0;
  ///     coho::for_each_field(rollouts, [&](const auto&) { ++members; });
  template <detail::with_fields Object, class Visitor>
  void operator()(Object& object, Visitor&& visitor) const {
    std::apply([&](auto&... fields) { (visitor(fields), ...); }, detail::tie_fields(object));
  }
  /// Calls `visitor(member of a, member of b)` for each member of two objects of one type.
  template <detail::with_fields Object, detail::with_fields Other, class Visitor>
    requires std::same_as<std::remove_const_t<Object>, std::remove_const_t<Other>>
  void operator()(Object& a, Other& b, Visitor&& visitor) const {
    const auto left = detail::tie_fields(a);
    const auto right = detail::tie_fields(b);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (visitor(std::get<I>(left), std::get<I>(right)), ...);
    }(std::make_index_sequence<std::tuple_size_v<decltype(left)>>{});
  }
};
inline constexpr for_each_field_fn for_each_field{};

/// Throws `argument_error` when prompts cannot form a step: empty prompts or duplicate keys.
template <std::same_as<rl_prompt> Prompt = rl_prompt>
void check_prompts(std::span<const std::type_identity_t<Prompt>> prompts) {
  std::vector<std::pair<std::uint64_t, std::size_t>> keys;
  bool value_tokens = false;
  for (const auto& prompt : prompts) value_tokens |= !prompt.value_tokens.empty();
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    require_argument(!prompts[i].tokens.empty(), "prompt " + std::to_string(i) + " has no tokens");
    require_argument(!value_tokens || !prompts[i].value_tokens.empty(),
                     "prompt " + std::to_string(i) + " has no value_tokens while others have: give all or none");
    keys.emplace_back(prompts[i].key, i);
  }
  std::sort(keys.begin(), keys.end());
  for (std::size_t i = 1; i < keys.size(); ++i) {
    require_argument(keys[i - 1].first != keys[i].first,
                     "prompts " + std::to_string(keys[i - 1].second) + " and " + std::to_string(keys[i].second) +
                         " have the same key " + std::to_string(keys[i].first) +
                         ": their responses would be equal; give each sample a key of its own");
  }
}

}  // namespace coho::inline v0_1
