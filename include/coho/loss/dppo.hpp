#pragma once

#include <array>
#include <cmath>
#include <type_traits>
#include <utility>

#include <coho/error.hpp>
#include <coho/loss/detail/log_ratio.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/inputs/policy_loss_inputs.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>

namespace coho::inline v0_1 {

/// How far a token's probability p is from its old one q, both as the distribution "this token or another":
/// total variation |p − q|, or KL(q ‖ p) = q·log(q/p) + (1 − q)·log((1 − q)/(1 − p)).
enum class token_divergence_kind { total_variation, kl };
constexpr auto option_names(token_divergence_kind) { return std::array{"total_variation", "kl"}; }

struct dppo_options {
  token_divergence_kind divergence = token_divergence_kind::total_variation;
  double limit_high = 0.15;  ///< of the divergence, where A > 0 and the token has become likelier
  double limit_low = 0.15;   ///< of the divergence, where A ≤ 0 and the token has become less likely
  double ratio_limit = 20;   ///< the weight of a token is at most this; ≥ 1, infinity for off

  static void describe(auto&& visit, auto&... o) {
    visit({"divergence", "what is limited: |p − q| or KL(q ‖ p) of a token"}, o.divergence...);
    visit({"limit_high", "limit where the advantage is positive and the token likelier", allowed::above(0)},
          o.limit_high...);
    visit({"limit_low", "limit where the advantage is not positive and the token less likely", allowed::above(0)},
          o.limit_low...);
    visit({"ratio_limit", "the weight of a token is at most this", allowed::at_least(1).or_infinity()},
          o.ratio_limit...);
  }
};

template <class Value, class Array>
struct dppo_result {
  Value value;          ///< the loss; only its gradient is meaningful, not its size
  Array d_log_probs;    ///< its gradient; 0 where the weight is 0 or the token is masked
  Value clip_fraction;  ///< fraction of tokens that are masked
  Value approximate_kl;  ///< mean over tokens of ρ − 1 − log ρ, an estimate of KL(old ‖ new) that is never negative
  Value tokens;          ///< tokens of nonzero weight: for combining the two means over parts of a batch
};

/// Divergence PPO (Qi et al. 2026, "Rethinking the Trust Region in LLM Reinforcement Learning", arXiv 2602.04879, the
/// binary forms): a token gets no gradient where its update would lead further out of a trust region that is measured
/// by the divergence of its probability instead of by its ratio, which is large for rare tokens and small for likely
/// ones:
///
///     L = −Σ_t w_t · M_t · c_t · A_t · log π(y_t),   c_t = min(ρ_t, ratio_limit) and M_t held constant
///     M_t = 0 where A_t > 0, p_t > q_t and D_t > limit_high, or A_t ≤ 0, p_t < q_t and D_t > limit_low; else 1
///
/// with p = π(y_t), q = π_old(y_t), ρ = p/q and D as the option says. Log-probs must be at most 0. log ρ is limited to
/// ±20. Uses `log_probs`, `old_log_probs`, `advantages` and `weights` of `policy_loss_inputs`: arrays, ranges or
/// tensors. Without weights the loss is the mean. Three numbers give the term of one token. `operator()` returns
/// double, or a 0-d tensor that is differentiable (M and c are detached in it; central differences of the value would
/// see c move, the gradient does not); `value_and_grad` a `dppo_result`. Throws option_error at construction;
/// argument_error when lengths differ or the loss is not finite (host arrays).
///
///     coho::dppo_loss loss{{.divergence = coho::token_divergence_kind::kl, .limit_high = 0.05, .limit_low = 0.05}};
///     auto result = loss.value_and_grad(
///         {.log_probs = log_probs, .old_log_probs = old, .advantages = advantages, .weights = weights});
///     // result.value, result.d_log_probs
class dppo_loss {
 public:
  explicit dppo_loss(const dppo_options& options = {}) : options_(options) { validate(options); }
  const dppo_options& options() const noexcept { return options_; }

  /// One token, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool Gradient, class T>
  element_terms<T, 1, 2> element(const T& log_prob, const T& old_log_prob, const T& advantage) const {
    using std::exp;
    const T now = coho::detach(log_prob);
    const T log_ratio = detail::limited_log_ratio(T(now - old_log_prob));
    const T ratio = exp(log_ratio);
    const T p = exp(now), q = exp(old_log_prob), distance = divergence(p, q, T(old_log_prob - now));
    const T zero = 0.0 * ratio, one = zero + 1.0;
    const T likelier = coho::where((p > q) & (distance > options_.limit_high), zero, one),
            less_likely = coho::where((p < q) & (distance > options_.limit_low), zero, one);
    const T kept = coho::where(advantage > 0, likelier, less_likely);
    const T slope = -advantage * coho::min(ratio, options_.ratio_limit) * kept;
    element_terms<T, 1, 2> out;
    out.value = slope * log_prob;
    if constexpr (Gradient) {
      out.slopes = {slope};
      out.measures = {T(one - kept), detail::token_divergence(ratio, log_ratio)};
    }
    return out;
  }

  double operator()(double log_prob, double old_log_prob, double advantage) const {
    return element<false>(log_prob, old_log_prob, advantage).value;
  }
  template <class Array = double>
  auto operator()(const policy_loss_inputs<Array>& in) const {
    return frame.weighted_value(*this, in.weights, in.log_probs, in.old_log_probs, in.advantages);
  }
  template <class Array = double>
  auto value_and_grad(const policy_loss_inputs<Array>& in) const {
    auto result = frame.weighted_value_and_grad(*this, in.weights, in.log_probs, in.old_log_probs, in.advantages);
    auto& d_log_probs = result.gradients[0];
    return dppo_result<decltype(result.value), std::remove_cvref_t<decltype(d_log_probs)>>{
        result.value, std::move(d_log_probs), result.measures[0], result.measures[1], result.count};
  }

 private:
  // D of the option. Of a certain token (p = 1) the rest is a smallest probability, so that no logarithm is infinite.
  template <class T>
  T divergence(const T& p, const T& q, const T& log_q_over_p) const {
    using std::abs, std::log;
    if (options_.divergence == token_divergence_kind::total_variation) return abs(T(p - q));
    constexpr double smallest = 1e-12;
    const T other_p = coho::max(T(1.0 - p), smallest), other_q = coho::max(T(1.0 - q), smallest);
    return q * log_q_over_p + other_q * log(T(other_q / other_p));
  }

  static constexpr elementwise_loss<1, 3> frame{"dppo_loss", {"log_probs", "old_log_probs", "advantages"}};

  dppo_options options_;
};

}  // namespace coho::inline v0_1
