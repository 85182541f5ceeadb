#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include <coho/check_lengths.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/loss/detail/log_ratio.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

/// What is done to large ratios.
enum class importance_form {
  truncated,  ///< min(ρ, high) (Yao et al. 2025, truncated importance sampling)
  masked,     ///< ρ where low ≤ ρ ≤ high, else 0 (Ling team 2025, IcePop)
};

// GCC 12 warns that this scoped enumerator hides `coho::token`. It does not.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
/// The ratio ρ of a token.
enum class importance_level {
  token,          ///< its own
  sequence,       ///< the product of its sequence's: unbiased, with variance that grows with length
  sequence_mean,  ///< their geometric mean
};
#pragma GCC diagnostic pop

constexpr auto option_names(importance_level) { return std::array{"token", "sequence", "sequence_mean"}; }
constexpr auto option_names(importance_form) { return std::array{"truncated", "masked"}; }

struct importance_weights_options {
  importance_form form = importance_form::truncated;
  importance_level level = importance_level::token;
  double low = 0;   ///< for `masked`, in [0, 1]; 0: off
  double high = 2;  ///< ≥ 1; infinity is off
  /// Sequences whose geometric mean of ratios leaves [sequence_low, sequence_high] get weight 0, whatever the form and
  /// level ("sequence mask"); in [0, 1] and ≥ 1; 0 and infinity are off.
  double sequence_low = 0, sequence_high = std::numeric_limits<double>::infinity();

  static void describe(auto&& visit, auto&... o) {
    visit({"form", "ratios above the limit are truncated, or masked"}, o.form...);
    visit({"level", "which ratio a token gets"}, o.level...);
    visit({"low", "lower limit of the masked form; 0: off", allowed::in(0, 1)}, o.low...);
    visit({"high", "upper limit", allowed::at_least(1).or_infinity()}, o.high...);
    visit({"sequence_low", "sequences whose geometric mean of ratios is lower get weight 0; 0: off", allowed::in(0, 1)},
          o.sequence_low...);
    visit({"sequence_high", "sequences whose geometric mean of ratios is higher get weight 0",
           allowed::at_least(1).or_infinity()},
          o.sequence_high...);
  }
  void check_constraints(const std::string& prefix) const {
    require_option(low == 0 || form == importance_form::masked, prefix + "low", low, "0 unless the form is masked");
  }
  /// Throws `option_error` for the first option out of its range, its name prefixed with `prefix`.
  void validate(const std::string& prefix = {}) const { coho::validate(*this, prefix); }
};

template <class Array>
struct importance_weights_result {
  Array weights;                     ///< one per token, constants of the optimisation; 0 where the mask is
  double mean_weight = 0;            ///< over real tokens; far from 1: the two programs disagree
  double limited_fraction = 0;       ///< fraction of real tokens whose weight is not their ratio: truncated or masked
  double effective_sample_size = 0;  ///< (Σ weight)² / Σ weight², in tokens (Kish 1965)
  double tokens = 0;                 ///< real tokens
};

struct importance_weights_fn {
  /// Factors for the losses of tokens that another program sampled (a fast sampler with other kernels or precision, an
  /// older policy) than the trainer whose log-probabilities the losses use:
  ///
  ///     ρ_t = exp(log π_trainer(y_t) − log π_sampler(y_t)),   weight_t = min(ρ_t, high), or ρ_t·1[low ≤ ρ_t ≤ high]
  ///
  /// With high = infinity and nothing masked, weighted sample means are unbiased. Multiply by them the token_weights
  /// of the whole mask, so that masked tokens still count in the divisor. log ρ is limited to ±20.
  ///
  /// `policy_log_probs` (trainer's) and `sampler_log_probs` (nats): one per token; arrays, ranges or tensors. `mask`
  /// (optional): 0 marks tokens that are not part of the response; they are not read. `offsets`: N + 1 entries
  /// for N sequences. Returns an Eigen array of the policy's number type (a tensor for tensors, detached) and measures.
  /// Throws option_error (names as above); argument_error when lengths or offsets do not fit or a real token's ratio is
  /// NaN or infinite.
  ///
  ///     auto correction = coho::importance_weights(log_probs, sampler_log_probs, batch.offsets, {.high = 2});
  ///     weights.values *= correction.weights;
  template <class Policy, class Sampler>
  auto operator()(const Policy& policy_log_probs, const Sampler& sampler_log_probs,
                  std::span<const std::size_t> offsets, const importance_weights_options& options = {}) const {
    return masked_weights(policy_log_probs, sampler_log_probs, nullptr, offsets, options);
  }
  template <class Policy, class Sampler, class Mask>
  auto operator()(const Policy& policy_log_probs, const Sampler& sampler_log_probs, const Mask& mask,
                  std::span<const std::size_t> offsets, const importance_weights_options& options = {}) const {
    if constexpr (!detail::host_array<Mask>) static_assert(detail::array_check<Mask>::passed);
    return masked_weights(policy_log_probs, sampler_log_probs, &mask, offsets, options);
  }

 private:
  // ρ from log ρ, which is limited to ±20: a diverging run then shows huge numbers instead of infinities.
  static double limited_ratio(double log_ratio) {
    return std::exp(coho::clamp(log_ratio, -detail::log_ratio_limit, detail::log_ratio_limit));
  }

  // Names the token whose ratio is infinite or NaN.
  template <class Mask, class LogRatio>
  static void throw_not_finite(std::size_t begin, std::size_t end, const Mask& mask, const LogRatio& log_ratio) {
    for (std::size_t t = begin; t < end; ++t) {
      if (mask[t] != 0 && !std::isfinite(log_ratio(t))) {
        throw argument_error("importance_weights: the ratio of token " + std::to_string(t) + " is NaN or infinite");
      }
    }
  }

  // `mask`: a pointer to the caller's, or nullptr if all tokens are real.
  template <class Policy, class Sampler, class Mask>
  static auto masked_weights(const Policy& policy_log_probs, const Sampler& sampler_log_probs, Mask mask,
                             std::span<const std::size_t> offsets, const importance_weights_options& options) {
    if constexpr (!detail::host_array<Policy>) static_assert(detail::array_check<Policy>::passed);
    if constexpr (!detail::host_array<Sampler>) static_assert(detail::array_check<Sampler>::passed);
    const auto& policy_local = detail::on_host(policy_log_probs);
    const auto& sampler_local = detail::on_host(sampler_log_probs);
    const auto p = detail::host_elements(policy_local);
    const auto s = detail::host_elements(sampler_local);
    using number = detail::host_number_t<decltype(policy_local)>;
    auto result = [&] {
      if constexpr (std::is_null_pointer_v<Mask>) {
        return weigh_tokens<number>(p, s, detail::all_real{p.size()}, offsets, options);
      } else {
        const auto& mask_local = detail::on_host(*mask);
        return weigh_tokens<number>(p, s, detail::host_elements(mask_local), offsets, options);
      }
    }();
    auto weights = detail::from_host_as(std::move(result.weights), policy_log_probs);
    return importance_weights_result<decltype(weights)>{std::move(weights), result.mean_weight, result.limited_fraction,
                                                        result.effective_sample_size, result.tokens};
  }

  // For elements on the host: checks, then weights and measures.
  template <class Number, class P, class S, class Mask>
  static auto weigh_tokens(const P& policy, const S& sampler, const Mask& mask, std::span<const std::size_t> offsets,
                           const importance_weights_options& options) {
    options.validate();
    detail::check_lengths(policy.size(), sampler.size(), "importance_weights", "sampler_log_probs");
    detail::check_lengths(policy.size(), mask.size(), "importance_weights", "mask");
    detail::check_offsets(offsets, policy.size(), "importance_weights");

    importance_weights_result<detail::array_of<Number>> result;
    result.weights.resize(static_cast<Eigen::Index>(policy.size()));
    const sums total = weigh_sequences(policy, sampler, mask, offsets, options, result.weights.data());
    result.tokens = total.tokens;
    if (total.tokens > 0) {
      result.mean_weight = total.weights / total.tokens;
      result.limited_fraction = total.limited / total.tokens;
    }
    if (total.squares > 0) result.effective_sample_size = total.weights * total.weights / total.squares;
    return result;
  }

  // Over real tokens: weights, their squares, how many are not their ratio, and how many there are.
  struct sums {
    double weights = 0, squares = 0, limited = 0, tokens = 0;
  };

  // Writes the weights to `to`, sequence by sequence: first the sequence's own ratio where the options need it, then
  // its tokens.
  template <class P, class S, class Mask, class Number>
  static sums weigh_sequences(const P& policy, const S& sampler, const Mask& mask, std::span<const std::size_t> offsets,
                              const importance_weights_options& options, Number* to) {
    const bool own_ratios = options.level == importance_level::token,
               truncated = options.form == importance_form::truncated;
    const double low = options.low, high = options.high;
    const auto log_ratio = [&](std::size_t t) {
      return static_cast<double>(policy[t]) - static_cast<double>(sampler[t]);
    };
    const bool by_sequence = !own_ratios || options.sequence_low > 0 || std::isfinite(options.sequence_high);
    sums out;
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      const std::size_t begin = offsets[i], end = offsets[i + 1];
      double shared = 1;
      bool kept = true;
      if (by_sequence) {
        double total = 0, length = 0;
        for (std::size_t t = begin; t < end; ++t) {
          if (mask[t] == 0) continue;
          total += log_ratio(t);
          length += 1;
        }
        const double mean = limited_ratio(total / std::max(length, 1.0));
        kept = mean >= options.sequence_low && mean <= options.sequence_high;
        shared = options.level == importance_level::sequence ? limited_ratio(total) : mean;
      }
      double broken = 0;  // NaN once a token's log-ratio is not finite
      for (std::size_t t = begin; t < end; ++t) {
        if (mask[t] == 0) {
          to[t] = Number(0);
          continue;
        }
        const double own = log_ratio(t), ratio = own_ratios ? limited_ratio(own) : shared;
        const double bounded = truncated ? std::min(ratio, high) : (ratio >= low && ratio <= high ? ratio : 0.0);
        const double weight = kept ? bounded : 0.0;
        broken += own - own;
        to[t] = static_cast<Number>(weight);
        out.weights += weight;
        out.squares += weight * weight;
        out.limited += static_cast<double>(weight != ratio);
        out.tokens += 1;
      }
      if (broken != 0) throw_not_finite(begin, end, mask, log_ratio);
    }
    return out;
  }
};
inline constexpr importance_weights_fn importance_weights{};

}  // namespace coho::inline v0_1
