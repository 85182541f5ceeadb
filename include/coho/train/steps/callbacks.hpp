#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <type_traits>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>

namespace coho::inline v0_1 {

/// Hooks that drivers call when a callback has them; each is optional:
///
///     void on_step_begin(std::uint64_t step);
///     void on_rollouts(const trajectory_batch&);         PPO: after shaping, whitening and advantages
///     void on_minibatch(const minibatch_statistics&);    after each optimizer step (each driver has its own type)
///     void on_step_end(const ppo_statistics&);           each driver has its own statistics
///     bool stop_requested();                             asked after each step by `run` and `fit`
///
/// A callback with none of them is a compile error, to catch misspelt names.
namespace notify {

/// Calls `Hook` with an argument on each callback that has it.
template <class Hook>
struct hook_fn {
  template <class Argument, class... Callbacks>
  void operator()([[maybe_unused]] const Argument& argument, Callbacks&... callbacks) const {
    (call_if_present(argument, callbacks), ...);
  }

 private:
  // Nothing for a callback without the hook.
  template <class Argument, class Callback>
  static void call_if_present([[maybe_unused]] const Argument& argument, [[maybe_unused]] Callback& callback) {
    if constexpr (requires { Hook::call(callback, argument); }) Hook::call(callback, argument);
  }
};

/// The hooks by name; `call` is well-formed for callbacks that have the member.
struct step_begin_hook {
  static auto call(auto& callback, const auto& argument) -> decltype(callback.on_step_begin(argument)) {
    return callback.on_step_begin(argument);
  }
};
inline constexpr hook_fn<step_begin_hook> step_begin{};

struct rollouts_hook {
  static auto call(auto& callback, const auto& argument) -> decltype(callback.on_rollouts(argument)) {
    return callback.on_rollouts(argument);
  }
};
inline constexpr hook_fn<rollouts_hook> rollouts{};

struct minibatch_hook {
  static auto call(auto& callback, const auto& argument) -> decltype(callback.on_minibatch(argument)) {
    return callback.on_minibatch(argument);
  }
};
inline constexpr hook_fn<minibatch_hook> minibatch{};

struct step_end_hook {
  static auto call(auto& callback, const auto& argument) -> decltype(callback.on_step_end(argument)) {
    return callback.on_step_end(argument);
  }
};
inline constexpr hook_fn<step_end_hook> step_end{};

/// Whether a callback on any rank requests a stop: the same answer on all ranks, which call together.
struct stop_requested_fn {
  template <communicator Communicator, class... Callbacks>
  bool operator()(Communicator& ranks, Callbacks&... callbacks) const {
    double requests = (requests_stop(callbacks) + ... + 0.0);
    ranks.all_reduce_sum(detail::span_of(&requests, 1));
    return requests > 0;
  }

 private:
  // 1 or 0, to be summed over callbacks and ranks; 0 for a callback without the hook.
  template <class Callback>
  static double requests_stop([[maybe_unused]] Callback& callback) {
    if constexpr (requires {
                    { callback.stop_requested() } -> std::convertible_to<bool>;
                  }) {
      return callback.stop_requested() ? 1.0 : 0.0;
    } else {
      return 0.0;
    }
  }
};
inline constexpr stop_requested_fn stop_requested{};

}  // namespace notify

namespace detail {
/// A callback with a hook that takes this argument.
template <class Callback, class Argument>
concept hooked_on = requires(Callback& c, const Argument& a) { c.on_rollouts(a); } ||
                    requires(Callback& c, const Argument& a) { c.on_minibatch(a); } ||
                    requires(Callback& c, const Argument& a) { c.on_step_end(a); };

/// A compile error for an object without any hook for these arguments: its members are misspelt.
template <class Callback, class... Arguments>
consteval bool require_callback() {
  using callback = std::remove_reference_t<Callback>;
  constexpr bool any = requires(callback& c, std::uint64_t step) { c.on_step_begin(step); } ||
                       requires(callback& c) { c.stop_requested(); } || (hooked_on<callback, Arguments> || ...);
  static_assert(any,
                "coho callback: the object has none of on_step_begin, on_rollouts, on_minibatch, on_step_end and "
                "stop_requested with the arguments of this driver");
  return any;
}
}  // namespace detail

}  // namespace coho::inline v0_1
