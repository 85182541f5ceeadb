#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include <Eigen/Core>

#include <coho/advantage/advantage_inputs.hpp>
#include <coho/advantage/gae.hpp>
#include <coho/concepts.hpp>
#include <coho/kl/controllers.hpp>
#include <coho/kl/ratio_divergence.hpp>
#include <coho/loss/inputs/policy_loss_inputs.hpp>
#include <coho/loss/inputs/value_loss_inputs.hpp>
#include <coho/reduce.hpp>
#include <coho/train/steps/model_outputs.hpp>

namespace coho::inline v0_1 {

namespace detail {
using array_weights = token_weights<Eigen::ArrayXd>;
using offset_span = std::span<const std::size_t>;

/// What a policy loss must return, and a value loss.
template <class Result>
concept policy_loss_value = requires(Result& r) {
  { r.value } -> std::convertible_to<double>;
  { r.d_log_probs } -> number_range;
};
template <class Result>
concept value_loss_value = requires(Result& r) {
  { r.value } -> std::convertible_to<double>;
  { r.d_values } -> number_range;
};
}  // namespace detail

/// policy_loss: the policy's objective in the reinforcement learning drivers.
///  (1) `l.value_and_grad(in)` with a `const policy_loss_inputs<double>&` of one number per response token, all members
///      given, returns an object with `value` and `d_log_probs`, a number_range of one number per token:
///      dL/d(log_probs). The loss ignores the members that it does not need.
///  (2) The loss is a sum over tokens weighted by `in.weights.values`, so that the parts of a minibatch add up to the
///      whole.
///  (3) Optional members of the result, for the statistics: `clip_fraction`, a fraction of the tokens of nonzero weight,
///      and `approximate_kl`, the mean over them of ρ − 1 − log ρ. The driver computes the latter where it is missing.
template <class Loss>
concept policy_loss = requires(const Loss& l, const policy_loss_inputs<double>& in) {
  { l.value_and_grad(in) } -> detail::policy_loss_value;
};

/// value_loss
///  (1) `l.value_and_grad(in)` with a `const value_loss_inputs<double>&`, all members given, returns an object with
///      `value` and `d_values`, and optionally `clip_fraction`.
///  (2) As for policy_loss.
template <class Loss>
concept value_loss = requires(const Loss& l, const value_loss_inputs<double>& in) {
  { l.value_and_grad(in) } -> detail::value_loss_value;
};

/// advantage_estimator
///  (1) `a(in)` with a `const advantage_inputs<double>&`, without a mask, returns an object with `advantages` and
///      `returns`, Eigen arrays of one number per token. `gae` is one.
///  (2) It sees all rollouts of the step on this rank at once; whitening comes after it.
template <class Estimator>
concept advantage_estimator = requires(const Estimator& a, const advantage_inputs<double>& in) {
  { a(in).advantages } -> std::convertible_to<Eigen::ArrayXd>;
  { a(in).returns } -> std::convertible_to<Eigen::ArrayXd>;
};

/// group_advantage_estimator
///  (1) `a(rewards, offsets)` with a `const Eigen::ArrayXd&` of one reward per response and the offsets of the groups
///      (group g is [offsets[g], offsets[g + 1])) returns an Eigen array of one advantage per response.
template <class Estimator>
concept group_advantage_estimator = requires(const Estimator& a, const Eigen::ArrayXd& x, detail::offset_span offsets) {
  { a(x, offsets) } -> std::convertible_to<Eigen::ArrayXd>;
};

/// Placeholder for the component that the options describe.
struct from_options {};

/// Parts of PPO that a caller can replace; those omitted are built from the options.
///
///     coho::ppo_trainer trainer{models, options, coho::ppo_components{.policy_loss = coho::gspo_loss{}}};
template <class PolicyLoss = from_options, class ValueLoss = from_options, class Advantage = from_options,
          class KlController = from_options>
struct ppo_components {
  PolicyLoss policy_loss{};      ///< policy_loss; default ppo_clip_loss
  ValueLoss value_loss{};        ///< value_loss; default value_clip_loss
  Advantage advantage{};         ///< advantage_estimator; default gae
  KlController kl_controller{};  ///< kl_controller; default fixed, or adaptive with options.adaptive_kl
};

#if defined(__clang__) && __clang_major__ < 17
// clang 16 deduces no aggregate's template arguments. With this it does, from members in order, not by name.
template <class... Parts>
ppo_components(Parts...) -> ppo_components<Parts...>;
#endif

/// The KL controller that the options describe: adaptive if they say so, else fixed.
class configured_kl_controller {
 public:
  configured_kl_controller(double coefficient, const std::optional<adaptive_kl_options>& adaptive)
      : fixed_(coefficient) {
    if (adaptive) adaptive_ = adaptive_kl_controller(*adaptive);
  }
  /// β for the next batch.
  double coefficient() const noexcept { return adaptive_ ? adaptive_->coefficient() : fixed_.coefficient(); }
  /// Nothing for the fixed one.
  void update(double mean_sequence_kl, double sequences) {
    if (adaptive_) adaptive_->update(mean_sequence_kl, sequences);
  }
  kl_controller_state save() const noexcept { return {coefficient()}; }
  void restore(const kl_controller_state& saved) {
    if (adaptive_) adaptive_->restore(saved);
  }

 private:
  fixed_kl_controller fixed_;
  std::optional<adaptive_kl_controller> adaptive_;
};

namespace detail {

/// GAE with its options bound.
struct bound_gae {
  gae_options options;
  template <class Array = double>
  auto operator()(const advantage_inputs<Array>& in) const {
    return gae(in, options);
  }
};

/// The given component, or the one that `make()` builds.
template <class Component, class Make>
auto component_or(Component component, Make make) {
  if constexpr (std::is_same_v<Component, from_options>) {
    return make();
  } else {
    return component;
  }
}
/// The type that `component_or` returns.
template <class Component, class Default>
using component_t = std::conditional_t<std::is_same_v<Component, from_options>, Default, Component>;

/// A policy loss of one part of a minibatch, with the inputs of the statistics; sums over tokens where noted.
struct policy_loss_terms {
  double value = 0, clipped = 0, divergence = 0;  ///< clipped tokens, Σ_t of ρ − 1 − log ρ
  Eigen::ArrayXd d_log_probs{};
};

/// The number of tokens of nonzero weight.
template <class Weights>
double count_weighted_tokens(const Weights& weights) {
  double count = 0;
  for (const double weight : weights) count += weight != 0;
  return count;
}

/// Calls a policy loss and checks its result. Throws argument_error for a result of another length or one that is not
/// finite.
template <class Loss>
policy_loss_terms evaluate_policy_loss(const Loss& loss, const policy_loss_inputs<double>& in) {
  const auto result = loss.value_and_grad(in);
  policy_loss_terms out{.value = static_cast<double>(result.value)};
  out.d_log_probs = checked_output(result.d_log_probs, static_cast<std::size_t>(in.log_probs.size()),
                                   "d_log_probs of the policy loss");
  require_argument(std::isfinite(out.value), "the value of the policy loss is not finite");
  const double tokens = count_weighted_tokens(in.weights.values);
  if constexpr (requires { result.clip_fraction; }) {
    out.clipped = static_cast<double>(result.clip_fraction) * tokens;
    require_argument(std::isfinite(out.clipped), "the clip_fraction of the policy loss is not finite");
  }
  if constexpr (requires { result.approximate_kl; }) {
    out.divergence = static_cast<double>(result.approximate_kl) * tokens;
    require_argument(std::isfinite(out.divergence), "the approximate_kl of the policy loss is not finite");
  } else {
    out.divergence = ratio_divergence(in.log_probs, in.old_log_probs);
  }
  return out;
}

/// The same for a value loss.
struct value_loss_terms {
  double value = 0, clipped = 0;
  Eigen::ArrayXd d_values{};
};

/// The same as `evaluate_policy_loss` for a value loss.
template <class Loss>
value_loss_terms evaluate_value_loss(const Loss& loss, const value_loss_inputs<double>& in) {
  const auto result = loss.value_and_grad(in);
  value_loss_terms out{.value = static_cast<double>(result.value)};
  require_argument(std::isfinite(out.value), "the value of the value loss is not finite");
  if constexpr (requires { result.clip_fraction; }) {
    out.clipped = static_cast<double>(result.clip_fraction) * count_weighted_tokens(in.weights.values);
    require_argument(std::isfinite(out.clipped), "the clip_fraction of the value loss is not finite");
  }
  out.d_values =
      checked_output(result.d_values, static_cast<std::size_t>(in.values.size()), "d_values of the value loss");
  return out;
}

}  // namespace detail

/// A compile error that names the requirement of policy_loss which the type does not meet.
template <class Loss>
consteval bool require_policy_loss() {
  constexpr bool exists = requires(const Loss& l, const policy_loss_inputs<double>& in) { l.value_and_grad(in); };
  static_assert(exists,
                "coho::policy_loss (1): the loss has no value_and_grad(const policy_loss_inputs<double>&) const");
  if constexpr (exists) {
    static_assert(policy_loss<Loss>, "coho::policy_loss (1): value_and_grad returns no value and d_log_probs");
  }
  return true;
}

/// A compile error that names the requirement of value_loss which the type does not meet.
template <class Loss>
consteval bool require_value_loss() {
  constexpr bool exists = requires(const Loss& l, const value_loss_inputs<double>& in) { l.value_and_grad(in); };
  static_assert(exists, "coho::value_loss (1): the loss has no value_and_grad(const value_loss_inputs<double>&) const");
  if constexpr (exists) {
    static_assert(value_loss<Loss>, "coho::value_loss (1): value_and_grad returns no value and d_values");
  }
  return true;
}

/// A compile error that names the requirement of advantage_estimator which the type does not meet.
template <class Estimator>
consteval bool require_advantage_estimator() {
  constexpr bool exists = requires(const Estimator& a, const advantage_inputs<double>& in) { a(in); };
  static_assert(exists,
                "coho::advantage_estimator (1): the estimator is not callable (const) with const "
                "advantage_inputs<double>&");
  if constexpr (exists) {
    static_assert(
        advantage_estimator<Estimator>,
        "coho::advantage_estimator (1): the result has no advantages and returns that are Eigen arrays of double");
  }
  return true;
}

/// A compile error that names the requirement of group_advantage_estimator which the type does not meet.
template <class Estimator>
consteval bool require_group_advantage_estimator() {
  constexpr bool exists =
      requires(const Estimator& a, const Eigen::ArrayXd& x, detail::offset_span offsets) { a(x, offsets); };
  static_assert(exists,
                "coho::group_advantage_estimator (1): the estimator is not callable (const) with rewards and the "
                "groups' offsets");
  if constexpr (exists) {
    static_assert(group_advantage_estimator<Estimator>,
                  "coho::group_advantage_estimator (1): the result is no Eigen array of double");
  }
  return true;
}

/// A compile error that names the requirement of kl_controller which the type does not meet.
template <class Controller>
consteval bool require_kl_controller() {
  constexpr bool coefficient = requires(const Controller& c) {
    { c.coefficient() } -> std::convertible_to<double>;
  };
  static_assert(coefficient,
                "coho::kl_controller (1): the controller has no coefficient() const that returns a number");
  constexpr bool update = requires(Controller& c, double x) { c.update(x, x); };
  static_assert(update,
                "coho::kl_controller (2): the controller has no update(double mean_sequence_kl, double sequences)");
  if constexpr (coefficient && update) {
    static_assert(
        kl_controller<Controller>,
        "coho::kl_controller (3): the controller has no save() const and restore(const kl_controller_state&)");
  }
  return true;
}

}  // namespace coho::inline v0_1
