#pragma once

#include <algorithm>
#include <cstddef>

#include <coho/check_lengths.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/kl/estimators.hpp>
#include <coho/kl/kl_loss_inputs.hpp>
#include <coho/loss/detail/blocks.hpp>
#include <coho/loss/detail/results.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct kl_loss_options {
  kl_estimator estimator = kl_estimator::k3;
  /// d = log π − log π_ref is limited to ±clip (nats), with gradient 0 beyond; > 0, or 0 for off. It keeps one token
  /// from dominating the batch under k2 and k3, which grow as d² and e^−d; 10 rarely affects healthy runs.
  double clip = 0;
  static void describe(auto&& visit, auto&... o) {
    visit({"estimator", "of the KL of a token"}, o.estimator...);
    visit({"clip", "limits log π − log π_ref to ± this; 0: off", allowed::bound(), "nats"}, o.clip...);
  }
};

template <class Value, class Array>
struct kl_loss_result {
  Value value;        ///< the loss
  Array d_log_probs;  ///< its gradient with respect to the policy's log-probs
};

/// A KL penalty as a term of the loss instead of the reward, over tokens with weights w:
///
///     L = Σ_t w_t·KL_t,   KL_t as in `kl_estimator`
///
/// Uses all members of `kl_loss_inputs`: arrays, ranges or tensors; the reference is a constant. Without weights the
/// loss is the mean. `operator()` returns double, or a 0-d tensor that is differentiable; `value_and_grad` a
/// `kl_loss_result`. Throws option_error at construction; argument_error when lengths differ or the loss is not finite
/// (host arrays).
///
///     coho::kl_loss loss{{.estimator = coho::kl_estimator::k2}};
///     auto [value, d_log_probs] = loss.value_and_grad(
///         {.log_probs = log_probs, .reference_log_probs = reference_log_probs, .weights = weights});
class kl_loss {
 public:
  explicit kl_loss(const kl_loss_options& options = {}) : options_(options) { validate(options); }
  const kl_loss_options& options() const noexcept { return options_; }

  template <class Array = double>
  auto operator()(const kl_loss_inputs<Array>& in) const {
    if constexpr (detail::device_array<Array>) {
      const token_weights<Array> weights = weights_of(in);
      const Array d = detail::without_masked(in.log_probs, weights) -
                      detail::without_masked(coho::detach(in.reference_log_probs), weights);
      return coho::sum(weights.values * detail::kl_of(limited(d), options_.estimator));
    } else {
      return value_and_grad(in).value;
    }
  }

  template <class Array = double>
  auto value_and_grad(const kl_loss_inputs<Array>& in) const {
    if constexpr (detail::device_array<Array>) {
      const token_weights<Array> weights = weights_of(in);
      const Array d = coho::detach(Array(detail::without_masked(in.log_probs, weights) -
                                         detail::without_masked(in.reference_log_probs, weights)));
      const Array bounded = limited(d), slopes = slope(bounded);
      return kl_loss_result<detail::value_of<Array>, Array>{
          coho::sum(weights.values * detail::kl_of(bounded, options_.estimator)),
          weights.values * (options_.clip > 0 ? coho::where(d.abs() > options_.clip, 0.0, slopes) : slopes)};
    } else {
      const auto p = detail::host_elements(in.log_probs);
      const auto r = detail::host_elements(in.reference_log_probs);
      const auto weights = in.weights.given ? in.weights.values : array_view<double>(detail::equal_weights(p.size()));
      const auto w = detail::host_elements(weights);
      detail::check_lengths(p.size(), r.size(), "kl_loss", "reference_log_probs");
      detail::check_lengths(p.size(), w.size(), "kl_loss", "weights");
      kl_loss_result<double, detail::array_of<Array>> result{
          0, detail::array_of<Array>(static_cast<Eigen::Index>(p.size()))};
      detail::with_estimator(options_.estimator, [&](auto chosen) {
        result.value = fused<chosen()>(p, r, w, options_.clip, result.d_log_probs.data());
      });
      detail::require_finite(result.value, "kl_loss");
      return result;
    }
  }

 private:
  template <detail::device_array T>
  static token_weights<T> weights_of(const kl_loss_inputs<T>& in) {
    detail::check_lengths(static_cast<std::size_t>(in.log_probs.numel()),
                          static_cast<std::size_t>(in.reference_log_probs.numel()), "kl_loss", "reference_log_probs");
    if (in.weights.given) return {in.weights.values};
    return {detail::equal_weights(in.log_probs)};
  }

  template <class T>
  T limited(const T& d) const {
    return options_.clip > 0 ? T(coho::clamp(d, -options_.clip, options_.clip)) : d;
  }

  template <class T>
  T slope(const T& d) const {
    using enum kl_estimator;
    if (options_.estimator == k1) return d.new_ones(d.sizes());
    if (options_.estimator == k3) return -T(-d).expm1();
    if (options_.estimator == absolute) return d.sign();
    if (options_.estimator == k1_clamped) return (d >= 0).to(d.scalar_type());
    return d;
  }

  // k1 and k2 of a whole block without masked tokens, as cheap as reading the block.
  template <kl_estimator Estimator, class Scratch, class Number>
  static double in_one_pass(const double* weight, const Scratch* p, const Scratch* r, Number* __restrict to) {
    constexpr bool square = Estimator == kl_estimator::k2;
    constexpr std::size_t lanes = 8;
    double sums[lanes] = {}, d[lanes], slope[lanes];
    for (std::size_t k = 0; k < detail::token_block; k += lanes) {
      for (std::size_t j = 0; j < lanes; ++j) d[j] = static_cast<double>(p[k + j]) - static_cast<double>(r[k + j]);
      for (std::size_t j = 0; j < lanes; ++j) slope[j] = square ? weight[k + j] * d[j] : weight[k + j];
      for (std::size_t j = 0; j < lanes; ++j) sums[j] += slope[j] * d[j];
      for (std::size_t j = 0; j < lanes; ++j) to[k + j] = static_cast<Number>(slope[j]);
    }
    const double total = ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
    return square ? 0.5 * total : total;
  }

  template <kl_estimator Estimator, class P, class R, class W, class Number>
  static double fused(const P& p, const R& r, const W& w, double clip, Number* to) {
    constexpr std::size_t block = detail::token_block;
    detail::block<detail::kl_scratch_t<Number, P, R>> p_scratch, r_scratch;
    detail::block<double> w_scratch, d, bounded, kl, slope;
    double value = 0;
    for (std::size_t begin = 0; begin < p.size(); begin += block) {
      const std::size_t count = std::min(p.size() - begin, block);
      const double* const weight = w_scratch.view(w, begin, count);
      const double counted = detail::count_nonzero(weight);
      if (counted == 0) {  // padding
        std::fill_n(to + begin, count, Number(0));
        continue;
      }
      const auto *const a = p_scratch.view(p, begin, count), *const b = r_scratch.view(r, begin, count);
      if constexpr (Estimator == kl_estimator::k1 || Estimator == kl_estimator::k2) {
        if (clip == 0 && counted == static_cast<double>(block)) {
          value += in_one_pass<Estimator>(weight, a, b, to + begin);
          continue;
        }
      }
      detail::store_difference(1, a, b, d.data);
      detail::clear_masked(weight, counted, d.data);
      if (clip > 0) {
        for (std::size_t k = 0; k < block; ++k) bounded[k] = detail::limit(d[k], -clip, clip);
        detail::kl_of_block<Estimator>(bounded.data, kl.data, slope.data);
        for (std::size_t k = 0; k < block; ++k) slope[k] = detail::keep_if(bounded[k] == d[k], slope[k]);
        for (std::size_t k = 0; k < block; ++k) kl[k] += d[k] - d[k];  // a clip must not hide non-finite values
      } else {
        detail::kl_of_block<Estimator>(d.data, kl.data, slope.data);
      }
      value += detail::dot(weight, kl.data);
      detail::store_product(weight, slope.data, to + begin, count);
    }
    return value;
  }

  kl_loss_options options_;
};

}  // namespace coho::inline v0_1
