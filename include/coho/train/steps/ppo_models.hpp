#pragma once

#include <array>
#include <span>
#include <string>
#include <type_traits>

#include <coho/concepts.hpp>
#include <coho/require.hpp>
#include <coho/reward/breakdown.hpp>

namespace coho::inline v0_1 {

/// Placeholder for a missing decoder: reward queries then hold tokens and no response text.
struct no_decoder_type {};
inline constexpr no_decoder_type no_decoder{};

/// Placeholder for a missing bonus.
struct no_bonus_type {
  double operator()(const reward_query&) const noexcept { return 0; }
  std::array<reward_part, 0> parts(const reward_query&) const noexcept { return {}; }
};
inline constexpr no_bonus_type no_bonus{};

/// Placeholder for a missing value model: advantages then need another baseline.
struct no_value_type {};
inline constexpr no_value_type no_value{};

/// Placeholder for the sampler where the policy samples.
struct no_sampler_type {};
inline constexpr no_sampler_type no_sampler{};

/// Placeholder for a reward model where all rollouts have scores: the driver then has `update`, but not `step`.
struct no_reward_type {};
inline constexpr no_reward_type no_reward{};

/// The models that PPO works on, by reference: the caller keeps everything alive. The types are deduced.
///
/// - `policy`: differentiable_policy, trainable; for `step` a causal_lm unless there is a `sampler`.
/// - `reference`: policy (frozen).
/// - `value`: differentiable_value_model, trainable; it may be the same object as the policy.
/// - `reward`: reward_model, or `no_reward` where every rollout has a score.
/// - `optimizer` steps the policy. `value_optimizer` steps the value model; the same object as `optimizer` (the
///   default) means that it holds the parameters of both and is stepped once.
/// - `decoder`: `decode(std::span<const token>)` or callable with it, returns the text that reward models see (where a
///   response ends and whether stop strings show is up to the decoder).
/// - `bonus`: symbolic rewards, `double(const reward_query&)`, added to the normalised score. With `parts(query)`, a
///   range of reward_part whose values add up to the same, the rollouts' `breakdowns` hold each part by its name.
/// - `sampler`: answers the prompts in place of the policy.
///
///     coho::ppo_models models{.policy = policy, .reference = initial, .value = value, .reward = reward,
///                             .optimizer = adam, .sampler = engine};
template <class Policy, class Reference, class Value, class Reward, class Optimizer, class ValueOptimizer = Optimizer,
          class Decoder = const no_decoder_type, class Bonus = const no_bonus_type,
          class Communicator = const local_communicator, class Sampler = const no_sampler_type>
struct ppo_models {
  Policy& policy;
  Reference& reference;
  Value& value;
  Reward& reward;
  Optimizer& optimizer;
  ValueOptimizer& value_optimizer = optimizer;
  Decoder& decoder = no_decoder;
  Bonus& bonus = no_bonus;
  Communicator& ranks = local;
  Sampler& sampler = no_sampler;
};

#if defined(__clang__) && __clang_major__ < 17
// clang 16 deduces no aggregate's template arguments. With this it does, from members in order, not by name.
template <class... Models>
ppo_models(Models&...) -> ppo_models<Models...>;
#endif

namespace detail {

/// A decoder, or the placeholder for none.
template <class Decoder>
concept decoding = std::is_same_v<std::remove_const_t<Decoder>, no_decoder_type> ||
                   requires(Decoder& d, std::span<const token> tokens) {
                     { d.decode(tokens) } -> std::convertible_to<std::string>;
                   } || requires(Decoder& d, std::span<const token> tokens) {
                     { d(tokens) } -> std::convertible_to<std::string>;
                   };

/// Whether there is a decoder: without one all texts are empty strings, which carry no information on the responses.
template <class Decoder>
inline constexpr bool decodes = !std::is_same_v<std::remove_cvref_t<Decoder>, no_decoder_type>;

/// The text of tokens, by `decode` or by a call; empty without a decoder.
template <class Decoder>
std::string decode_with(Decoder& decoder, std::span<const token> tokens) {
  if constexpr (!decodes<Decoder>) {
    return {};
  } else if constexpr (requires { decoder.decode(tokens); }) {
    return decoder.decode(tokens);
  } else {
    return decoder(tokens);
  }
}

/// Whether a member of `ppo_models` is the placeholder for a missing model.
template <class Model, class Placeholder>
inline constexpr bool is_placeholder = std::is_same_v<std::remove_cvref_t<Model>, Placeholder>;

/// The sampler if there is one, else the policy.
template <class Models>
auto& sampler_or_policy(const Models& models) {
  if constexpr (requires { requires !is_placeholder<decltype(models.sampler), no_sampler_type>; }) {
    return models.sampler;
  } else {
    return models.policy;
  }
}

template <class Models>
struct check_models;
template <class Policy, class Reference, class Value, class Reward, class Optimizer, class ValueOptimizer,
          class Decoder, class Bonus, class Communicator, class Sampler>
struct check_models<
    ppo_models<Policy, Reference, Value, Reward, Optimizer, ValueOptimizer, Decoder, Bonus, Communicator, Sampler>> {
  // What `update` needs, model by model.
  static consteval bool passed_for_update() {
    require_differentiable_policy<Policy>();
    require_trainable<Policy>();
    require_policy<Reference>();
    if constexpr (!is_placeholder<Value, no_value_type>) {
      require_differentiable_value_model<Value>();
      require_trainable<Value>();
    }
    if constexpr (!is_placeholder<Reward, no_reward_type>) require_reward_model<Reward>();
    if constexpr (!is_placeholder<Sampler, no_sampler_type>) require_sampler<Sampler>();
    require_optimizer<Optimizer>();
    require_optimizer<ValueOptimizer>();
    require_communicator<Communicator>();
    static_assert(decoding<Decoder>,
                  "coho::ppo_models: the decoder has no decode(std::span<const token>) and is not callable with it");
    constexpr bool bonus = requires(Bonus& b, const reward_query& q) {
      { b(q) } -> std::convertible_to<double>;
    };
    static_assert(bonus, "coho::ppo_models: the bonus is not callable with a const reward_query& or returns no number");
    return true;
  }
  // What `step` needs in addition to `update`.
  static consteval bool passed_for_steps() {
    if constexpr (is_placeholder<Sampler, no_sampler_type>) require_causal_lm<Policy>();
    static_assert(!is_placeholder<Reward, no_reward_type>,
                  "coho::ppo_models: without a reward model there is no step, only update with the rollouts' scores");
    return true;
  }
};

/// The first errors of a driver whose models do not fit: each names the concept and the member.
template <class Models>
consteval bool require_ppo_models() {
  return check_models<Models>::passed_for_update();
}

/// The first errors of `step`, which samples and scores.
template <class Models>
consteval bool require_step_models() {
  return check_models<Models>::passed_for_steps();
}

}  // namespace detail

}  // namespace coho::inline v0_1
