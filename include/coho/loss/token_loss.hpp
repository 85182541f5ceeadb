#pragma once

#include <bit>
#include <cmath>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

/// Shared parts of the reduced losses: one pass over the tokens of the host in blocks that stay in cache, and the
/// preparation of tensors. For writers of losses; users need only the losses.
namespace coho::detail {

/// A sum and a gradient per token; `value_of<T>` is double on the host and a 0-d tensor for tensors.
template <class T>
struct loss_value {
  using type = double;
};
template <device_array T>
struct loss_value<T> {
  using type = typename array_traits<T>::value;
};
template <class T>
struct loss_array {
  using type = array_of<host_number_t<T>>;
};
template <device_array T>
struct loss_array<T> {
  using type = plain_t<T>;
};
template <floating_scalar T>
struct loss_array<T> {
  using type = T;
};
/// The scalar results of a loss over arrays of T.
template <class T>
using value_of = typename loss_value<std::remove_cvref_t<T>>::type;
/// The gradient of a loss with respect to an argument of type T.
template <class T>
using gradient_of = typename loss_array<std::remove_cvref_t<T>>::type;

// Equal weights of n elements.
struct mean_weights {
  std::size_t count;
  double weight;
  explicit mean_weights(std::size_t n) : count(n), weight(n == 0 ? 0 : 1 / static_cast<double>(n)) {}
  std::size_t size() const noexcept { return count; }
  double operator[](std::size_t) const noexcept { return weight; }
};

/// x where the condition holds, else 0. As a function, x is computed before the choice, so that no branch is needed.
template <std::floating_point Number>
constexpr Number keep_if(bool condition, Number x) noexcept {
  return condition ? x : Number(0);
}

/// x limited to [low, high], NaN kept, in the form that processors have an instruction for.
template <std::floating_point Number>
constexpr Number limit(Number x, Number low, Number high) noexcept {
  const Number above = low > x ? low : x;
  return high < above ? high : above;
}

/// Of a polynomial for e^r, |r| ≤ ½·ln 2, and of numbers as bits.
template <class Number>
struct exp_constants;
template <>
struct exp_constants<double> {
  using bits = std::uint64_t;
  static constexpr int digits = 52;
  // Added and subtracted, `shift` rounds to whole numbers and leaves them in the lowest bits. Beyond the limits e^x is
  // 0 or infinite. ln 2 in two parts: products of the first with whole numbers are exact.
  static constexpr double shift = 0x1.8p52, low = -746, high = 710;
  static constexpr double ln2_high = 0x1.62e42fecp-1, ln2_low = 4.236521365809284e-10;
  // (e^r − 1 − r)/r² within 2e-17 of e^r.
  [[gnu::always_inline]] static constexpr double convexity(double r) noexcept {
    const double r2 = r * r, r4 = r2 * r2;
    return (0.5000000000000001 + 0.16666666666666669 * r) + r2 * (0.041666666666624066 + 0.008333333333330056 * r) +
           r4 * ((0.0013888888917245787 + 0.0001984126986307828 * r) +
                 r2 * (2.4801521246131495e-05 + 2.7557268421682613e-06 * r) +
                 r4 * (2.7620112139572367e-07 + 2.510040371657669e-08 * r));
  }
};
template <>
struct exp_constants<float> {
  using bits = std::uint32_t;
  static constexpr int digits = 23;
  static constexpr float shift = 0x1.8p23f, low = -105, high = 90, ln2_high = 0.693359375f, ln2_low = -0.00021219444f;
  [[gnu::always_inline]] static constexpr float convexity(float r) noexcept {
    const float r2 = r * r;
    return (0.5f + 0.166665769f * r) + r2 * ((0.0416665545f + 0.00836319033f * r) + r2 * 0.00139261977f);
  }
};

/// The nearest whole number to a small x, free of calls that stand in the way of vectors.
template <class Number>
[[gnu::always_inline]] inline Number nearest(Number x) noexcept {
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__)  // the shift would be taken out again
  return std::rint(x);
#else
  return (x + exp_constants<Number>::shift) - exp_constants<Number>::shift;
#endif
}

/// x = whole·ln 2 + r.
template <class Number>
struct exp_parts {
  Number whole, r;
  [[gnu::always_inline]] explicit exp_parts(Number x) noexcept {
    using c = exp_constants<Number>;
    whole = nearest(x * Number(1.4426950408889634));
    r = (x - whole * c::ln2_high) - whole * c::ln2_low;
  }
  [[gnu::always_inline]] Number convex() const noexcept {
    return r * r * exp_constants<Number>::convexity(r);
  }  // e^r − 1 − r
};

/// 2^k for a whole number k that a normal number can hold.
template <class Number>
[[gnu::always_inline]] inline Number power_of_two(Number k) noexcept {
  using c = exp_constants<Number>;
  using bits = typename c::bits;
  return std::bit_cast<Number>((std::bit_cast<bits>(k + c::shift) << c::digits) + std::bit_cast<bits>(Number(1)));
}

/// e^x for |x| ≤ 708 (float: 87), or NaN, which stays; within 1.1 units of the last digit. Free of branches and calls,
/// so that loops over it vectorise, and each number's result is the same wherever it stands. (Not to the last bit that
/// of `block::exp` with a divergence, where the compiler fuses products and sums.)
template <class Number>
[[gnu::always_inline]] inline Number small_exp(Number x) noexcept {
  const exp_parts<Number> parts(x);
  return (Number(1) + (parts.r + parts.convex())) * power_of_two(parts.whole);
}

/// Elements that one block of a fused loop handles; ten scratch arrays of them fit the first-level cache.
inline constexpr std::size_t token_block = 256;

/// Σ_k term(k) of a block in double. Eight sums beside each other, because compilers may not reorder additions.
template <class Term>
double block_sum(const Term& term) noexcept {
  constexpr std::size_t lanes = 8;
  double sums[lanes] = {};
  for (std::size_t k = 0; k < token_block; k += lanes) {
    for (std::size_t j = 0; j < lanes; ++j) sums[j] += static_cast<double>(term(k + j));
  }
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

/// Scratch of one block. Loops over a whole block have a constant length, alias nothing and hold one choice at a time,
/// so that they vectorise.
template <class Number>
struct alignas(64) block {
  Number data[token_block];

  Number& operator[](std::size_t i) noexcept { return data[i]; }

  /// Elements [begin, begin + count) of x followed by zeros to the end of a block: in place where x has a whole block
  /// of this number type, converted and copied here otherwise.
  template <class Range>
  const Number* view(const Range& x, std::size_t begin, std::size_t count) {
    if constexpr (requires {
                    { x.data() } -> std::same_as<const Number*>;
                  }) {
      if (count == token_block) return x.data() + begin;
    }
    if (count == token_block) {
      for (std::size_t k = 0; k < token_block; ++k) data[k] = static_cast<Number>(x[begin + k]);
      return data;
    }
    for (std::size_t k = 0; k < count; ++k) data[k] = static_cast<Number>(x[begin + k]);
    for (std::size_t k = count; k < token_block; ++k) data[k] = Number(0);
    return data;
  }
  double sum() const noexcept {
    return block_sum([this](std::size_t k) { return data[k]; });
  }
  /// e to the power of each element, as `small_exp`.
  void exp() noexcept {
    for (Number& x : data) x = small_exp(x);
  }
  /// The same, and e^x − 1 − x, precise also near 0.
  void exp(Number* __restrict divergence) noexcept {
    for (std::size_t k = 0; k < token_block; ++k) {
      const exp_parts<Number> parts(data[k]);
      const Number convex = parts.convex(), scale = power_of_two(parts.whole);
      // Near 0, where scale is 1 and r is x, the last two terms are exactly 0.
      divergence[k] = scale * convex + (scale - Number(1)) * (Number(1) + parts.r) + (parts.r - data[k]);
      data[k] = (Number(1) + (parts.r + convex)) * scale;
    }
  }
};

/// Σ_k w_k·x_k in double.
template <class Number>
double dot(const double* weights, const Number* x) noexcept {
  return block_sum([=](std::size_t k) { return weights[k] * static_cast<double>(x[k]); });
}

/// How many weights of a block are not 0.
template <class Number>
double count_nonzero(const Number* weights) noexcept {
  return block_sum([=](std::size_t k) { return weights[k] != 0 ? 1.0 : 0.0; });
}

/// Replaces numbers of weight 0 by 0; `counted` is the number of other weights. A loop of its own: compilers do not
/// vectorise choices between what is computed in the same loop.
template <class Number>
void clear_masked(const double* weights, double counted, Number* __restrict x) noexcept {
  if (counted == static_cast<double>(token_block)) return;
  for (std::size_t k = 0; k < token_block; ++k) x[k] = keep_if(weights[k] != 0, x[k]);
}

/// Writes x_k for the first `count` elements of a block.
template <class Number, class Result>
void store(const Number* x, Result* __restrict to, std::size_t count) noexcept {
  if (count == token_block) {
    for (std::size_t k = 0; k < token_block; ++k) to[k] = static_cast<Result>(x[k]);
  } else {
    for (std::size_t k = 0; k < count; ++k) to[k] = static_cast<Result>(x[k]);
  }
}

/// Writes w_k·x_k for the first `count` elements of a block.
template <class Number, class Result>
void store_product(const double* weights, const Number* x, Result* __restrict to, std::size_t count) noexcept {
  if (count == token_block) {
    for (std::size_t k = 0; k < token_block; ++k) to[k] = static_cast<Result>(weights[k] * static_cast<double>(x[k]));
  } else {
    for (std::size_t k = 0; k < count; ++k) to[k] = static_cast<Result>(weights[k] * static_cast<double>(x[k]));
  }
}

/// factor·(a_k − b_k) of a whole block, in double.
template <class Number>
void store_difference(double factor, const Number* a, const Number* b, double* __restrict to) noexcept {
  for (std::size_t k = 0; k < token_block; ++k)
    to[k] = 0.0 + factor * (static_cast<double>(a[k]) - static_cast<double>(b[k]));
}

/// 0, or NaN when a number of a block is not finite.
template <class Number>
double defect(const Number* x) noexcept {
  return block_sum([=](std::size_t k) { return x[k] - x[k]; });
}

/// Writes −x_k for the first `count` elements of a block.
template <class Result>
void store_negative(const double* x, Result* __restrict to, std::size_t count) noexcept {
  if (count == token_block) {
    for (std::size_t k = 0; k < token_block; ++k) to[k] = static_cast<Result>(0.0 - x[k]);
  } else {
    for (std::size_t k = 0; k < count; ++k) to[k] = static_cast<Result>(0.0 - x[k]);
  }
}

/// What losses take from e^−|z|, all of it from one exponential.
struct logistic_terms {
  double softplus;          ///< log(1 + e^z) = −log σ(−z)
  double softplus_negated;  ///< log(1 + e^−z) = −log σ(z)
  double sigmoid;           ///< σ(z)
  double sigmoid_negated;   ///< σ(−z), precise where σ(z) rounds to 1
};
inline logistic_terms logistic(double z) noexcept {
  const double e = std::exp(-std::abs(z)), whole = 1 + e, share = 1 / whole;
  // log1p(e): the logarithm of the rounded sum, and what rounding took off it. Faster than std::log1p, as precise.
  const double rest = std::log(whole) + (e - (whole - 1)) * share;
  const double major = share, minor = e * share;
  return {(z > 0 ? z : 0) + rest, (z < 0 ? -z : 0) + rest, z < 0 ? minor : major, z < 0 ? major : minor};
}

[[noreturn]] inline void throw_not_finite(const char* who) {
  throw argument_error(std::string(who) + ": the loss is not finite; a token of nonzero weight holds NaN or infinity");
}
// Small, to be compiled into its callers: a call after a loop can cost the loop the register of its sum.
inline void require_finite(double value, const char* who) {
  if (!std::isfinite(value)) throw_not_finite(who);
}

/// The input with every token of weight 0 replaced, so that neither values nor gradients of masked NaN travel.
template <class Tensor>
Tensor without_masked(const Tensor& x, const token_weights<Tensor>& weights) {
  check_same_shape(weights.values, x, "a loss");
  return coho::where(weights.values != 0, x, 0.0);
}

}  // namespace coho::detail
