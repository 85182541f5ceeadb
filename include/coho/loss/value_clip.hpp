#pragma once

#include <algorithm>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/loss/token_loss.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace coho {

struct value_clip_options {
  double clip = 0.2;  ///< how far a value may move from the rollout's before it gains nothing; > 0, infinity for off

  static void describe(auto&& visit, auto&... o) {
    visit({"clip", "how far a value may move from the rollout's before it gains nothing",
           allowed::above(0).or_infinity()},
          o.clip...);
  }
};

template <class Value, class Array>
struct value_clip_result {
  Value value;          ///< the loss
  Array d_values;       ///< its gradient; 0 where the weight is 0
  Value clip_fraction;  ///< share of tokens whose gradient the clip removes
  Value tokens;         ///< tokens of nonzero weight: to combine the share over parts of a batch
};

/// The clipped value loss of PPO (Schulman et al. 2017, code; Ouyang et al. 2022), summed over tokens with weights w:
///
///     L = Σ_t w_t · ½·max((v_t − R_t)², (clip(v_t, v_old_t − clip, v_old_t + clip) − R_t)²)
///
/// `values`, `old_values` (of the rollout) and `returns`: one a token; arrays, ranges or tensors. Without weights the
/// loss is the mean. Single numbers give the term of one token. `operator()` returns double, or a 0-d tensor that is
/// differentiable; `value_and_grad` a `value_clip_result`.
/// Throws option_error at construction; argument_error when lengths differ or the loss is not finite (host arrays).
///
///     coho::value_clip_loss loss{{.clip = 0.2}};
///     auto result = loss.value_and_grad(values, old_values, returns, weights);
///     // result.value, result.d_values
class value_clip_loss {
 public:
  explicit value_clip_loss(const value_clip_options& options = {}) : options_(options) { validate(options); }
  const value_clip_options& options() const noexcept { return options_; }

  template <class Values, class Old, class Returns>
  auto operator()(const Values& values, const Old& old_values, const Returns& returns) const {
    static_assert(detail::array_check<Values, Old, Returns>::passed);
    if constexpr (detail::floating_scalar<Values>) {
      return term<std::common_type_t<Values, Old, Returns>>(values, old_values, returns);
    } else if constexpr (detail::device_array<Values>) {
      detail::check_same_shape(values, old_values, "value_clip_loss");
      detail::check_same_shape(values, returns, "value_clip_loss");
      return coho::sum(term(values, old_values, returns)) / std::max<std::int64_t>(values.numel(), 1);
    } else {
      return run<false>(values, old_values, returns, nullptr).value;
    }
  }
  template <class Values, class Old, class Returns, class Weights>
  auto operator()(const Values& values, const Old& old_values, const Returns& returns,
                  const token_weights<Weights>& weights) const {
    static_assert(detail::array_check<Values, Old, Returns, Weights>::passed);
    if constexpr (detail::device_array<Values>) {
      return coho::sum(weights.values * term(detail::without_masked(values, weights),
                                             detail::without_masked(old_values, weights),
                                             detail::without_masked(returns, weights)));
    } else {
      return run<false>(values, old_values, returns, &weights).value;
    }
  }

  template <class Values, class Old, class Returns>
  auto value_and_grad(const Values& values, const Old& old_values, const Returns& returns) const {
    static_assert(detail::array_check<Values, Old, Returns>::passed);
    if constexpr (detail::device_array<Values>) {
      return on_device(values, old_values, returns,
                       token_weights<Values>{values.new_full(
                           values.sizes(), 1.0 / static_cast<double>(std::max<std::int64_t>(values.numel(), 1)))});
    } else {
      return run<true>(values, old_values, returns, nullptr);
    }
  }
  template <class Values, class Old, class Returns, class Weights>
  auto value_and_grad(const Values& values, const Old& old_values, const Returns& returns,
                      const token_weights<Weights>& weights) const {
    static_assert(detail::array_check<Values, Old, Returns, Weights>::passed);
    if constexpr (detail::device_array<Values>) {
      return on_device(values, old_values, returns, weights);
    } else {
      return run<true>(values, old_values, returns, &weights);
    }
  }

 private:
  // v − R with v limited to the band about v_old, written on the move v − v_old.
  template <class T>
  T clipped_error(const T& value, const T& old_value, const T& target) const {
    return old_value + coho::clamp(T(value - old_value), -options_.clip, options_.clip) - target;
  }

  template <class T>
  T term(const T& value, const T& old_value, const T& target) const {
    const T error = value - target, clipped = clipped_error(value, old_value, target);
    return T(0.5) * coho::max(T(error * error), T(clipped * clipped));
  }
  template <detail::device_array T>
  T term(const T& value, const T& old_value, const T& target) const {
    const T error = value - target, clipped = clipped_error(value, old_value, target);
    return 0.5 * coho::max(T(error * error), T(clipped * clipped));
  }

  template <class T>
  auto on_device(const T& values, const T& old_values, const T& returns, const token_weights<T>& weights) const {
    const T value = detail::without_masked(coho::detach(values), weights);
    const T old_value = detail::without_masked(coho::detach(old_values), weights);
    const T target = detail::without_masked(coho::detach(returns), weights);
    const T error = value - target, clipped = clipped_error(value, old_value, target);
    const T free_square = error * error, clipped_square = clipped * clipped;
    const T flat = (free_square < clipped_square).logical_and((value - old_value).abs() > options_.clip);
    const T one = value.new_ones(value.sizes());
    const T tokens = coho::sum(coho::where(weights.values != 0, one, 0.0));
    return value_clip_result<detail::value_of<T>, T>{
        coho::sum(0.5 * weights.values * coho::max(free_square, clipped_square)),
        weights.values * coho::where(flat.logical_not(), error, 0.0),
        coho::sum(coho::where(flat, one, 0.0)) / coho::max(tokens, 1.0), tokens};
  }

  template <bool Gradient, class Values, class Old, class Returns, class Weights>
  auto run(const Values& values, const Old& old_values, const Returns& returns, Weights weights) const {
    static_assert(detail::host_array<Values> && detail::host_array<Old> && detail::host_array<Returns>,
                  "coho::value_clip_loss: tensors and arrays of the host cannot be mixed");
    using number =
        std::common_type_t<detail::host_number_t<Values>, detail::host_number_t<Old>, detail::host_number_t<Returns>>;
    const auto value = detail::host_elements(values);
    const auto old_value = detail::host_elements(old_values);
    const auto target = detail::host_elements(returns);
    if constexpr (std::is_null_pointer_v<Weights>) {
      return fused<Gradient, number, detail::host_number_t<Values>>(value, old_value, target,
                                                                    detail::mean_weights(value.size()));
    } else {
      return fused<Gradient, number, detail::host_number_t<Values>>(value, old_value, target,
                                                                    detail::host_elements(weights->values));
    }
  }

  template <bool Gradient, class Number, class Result, class Values, class Old, class Returns, class Weights>
  auto fused(const Values& values, const Old& old_values, const Returns& returns, const Weights& weights) const {
    const std::size_t size = values.size();
    detail::check_lengths(size, old_values.size(), "value_clip_loss", "old_values");
    detail::check_lengths(size, returns.size(), "value_clip_loss", "returns");
    detail::check_lengths(size, weights.size(), "value_clip_loss", "weights");
    const Number clip = static_cast<Number>(options_.clip);

    value_clip_result<double, detail::array_of<Result>> result{};
    if constexpr (Gradient) result.d_values.resize(static_cast<Eigen::Index>(size));
    constexpr std::size_t block = detail::token_block;
    detail::block<Number> error, move, bounded, terms, held;  // held: 1 where no clip acts
    detail::block<double> weight_scratch;
    double real = 0, flat = 0;
    for (std::size_t begin = 0; begin < size; begin += block) {
      const std::size_t count = std::min(size - begin, block);
      // Blocks that are written later hold the few arguments that need converting.
      const Number* const value = bounded.view(values, begin, count);
      const Number* const old_value = terms.view(old_values, begin, count);
      const Number* const target = held.view(returns, begin, count);
      const double* const weight = weight_scratch.view(weights, begin, count);
      const double counted = detail::count_nonzero(weight);
      for (std::size_t k = 0; k < block; ++k) error[k] = value[k] - target[k];
      for (std::size_t k = 0; k < block; ++k) move[k] = value[k] - old_value[k];
      detail::clear_masked(weight, counted, error.data);
      detail::clear_masked(weight, counted, move.data);
      for (std::size_t k = 0; k < block; ++k) bounded[k] = detail::limit(move[k], -clip, clip);
      for (std::size_t k = 0; k < block; ++k) {
        // The clipped error is the error less what the clip takes off the move: exactly the error inside the band.
        const Number clipped = error[k] - (move[k] - bounded[k]);
        const Number free_square = error[k] * error[k], clipped_square = clipped * clipped;
        // The added difference is 0, or NaN, which the comparison would lose.
        terms[k] = (clipped_square > free_square ? clipped_square : free_square) + (move[k] - move[k]);
        held[k] = free_square >= clipped_square ? Number(1) : Number(0);
      }
      result.value += 0.5 * detail::dot(weight, terms.data);
      if constexpr (Gradient) {
        flat += static_cast<double>(block) - held.sum();
        real += counted;
        for (std::size_t k = 0; k < block; ++k) held[k] *= error[k];
        detail::store_product(weight, held.data, result.d_values.data() + begin, count);
      }
    }
    detail::require_finite(result.value, "value_clip_loss");
    if constexpr (Gradient) {
      result.tokens = real;
      result.clip_fraction = real > 0 ? flat / real : 0;
    }
    return result;
  }

  value_clip_options options_;
};

}  // namespace coho
