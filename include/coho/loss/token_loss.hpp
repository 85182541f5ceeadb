#pragma once

#include <algorithm>
#include <cmath>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>
#include <concepts>
#include <cstddef>
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

/// Elements that one block of a fused loop handles; ten scratch arrays of them fit the first-level cache.
inline constexpr std::size_t token_block = 256;

/// Scratch of one block. Loops over a whole block have a constant length, alias nothing and hold one choice at a time,
/// so that they vectorise; sums are left to Eigen, because a compiler may not reorder floating-point additions.
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
    std::fill(data + count, data + token_block, Number(0));
    return data;
  }
  auto array() noexcept { return Eigen::Map<Eigen::Array<Number, token_block, 1>, Eigen::Aligned64>(data); }
  double sum() noexcept { return array().template cast<double>().sum(); }
  /// e to the power of each element; compilers do not vectorise std::exp, but two at a time are not faster than one.
  void exp() noexcept {
    if constexpr (Eigen::internal::packet_traits<Number>::size > 2) {
      array() = array().exp();
    } else {
      for (Number& x : data) x = std::exp(x);
    }
  }
};

/// A block's worth of numbers as an Eigen array.
template <class Number>
auto block_array(const Number* x) noexcept {
  return Eigen::Map<const Eigen::Array<Number, token_block, 1>>(x);
}

/// Σ_k w_k·x_k in double.
template <class Number>
double dot(const double* weights, const Number* x) noexcept {
  return (block_array(weights) * block_array(x).template cast<double>()).sum();
}

/// Writes w_k·x_k for the first `count` elements of a block.
template <class Number, class Result>
void store_product(const double* weights, const Number* x, Result* to, std::size_t count) {
  const auto n = static_cast<Eigen::Index>(count);
  Eigen::Map<Eigen::Array<Result, Eigen::Dynamic, 1>>(to, n) =
      (block_array(weights).head(n) * block_array(x).head(n).template cast<double>()).template cast<Result>();
}

/// factor·(a_k − b_k) of a whole block, in double. A loop over floats, because Eigen does not vectorise conversions.
template <class Number>
void store_difference(double factor, const Number* a, const Number* b, double* to) noexcept {
  if constexpr (std::is_same_v<Number, double>) {
    Eigen::Map<Eigen::Array<double, token_block, 1>>{to} = 0.0 + factor * (block_array(a) - block_array(b));
  } else {
    for (std::size_t k = 0; k < token_block; ++k)
      to[k] = 0.0 + factor * (static_cast<double>(a[k]) - static_cast<double>(b[k]));
  }
}

/// The same, and 0, or NaN when one of the differences is not finite, in one pass.
template <class Number>
double store_finite_difference(double factor, const Number* a, const Number* b, double* to) noexcept {
  constexpr int lanes = 8;
  Eigen::Array<double, lanes, 1> defects = Eigen::Array<double, lanes, 1>::Zero();
  for (std::size_t k = 0; k < token_block; k += lanes) {
    const Eigen::Map<const Eigen::Array<Number, lanes, 1>> x(a + k), y(b + k);
    const Eigen::Array<double, lanes, 1> d = 0.0 + factor * (x.template cast<double>() - y.template cast<double>());
    Eigen::Map<Eigen::Array<double, lanes, 1>>{to + k} = d;
    defects += d - d;
  }
  return defects.sum();
}

/// 0, or NaN when a number of a block is not finite. Four sums at a time: one alone would wait for each addition.
template <class Number>
double defect(const Number* x) noexcept {
  constexpr std::size_t part = token_block / 4;
  const Eigen::Map<const Eigen::Array<Number, part, 1>> a(x), b(x + part), c(x + 2 * part), d(x + 3 * part);
  return ((a - a) + (b - b) + (c - c) + (d - d)).sum();
}

/// Writes −x_k for the first `count` elements of a block.
template <class Result>
void store_negative(const double* x, Result* to, std::size_t count) {
  if (count == token_block && !std::is_same_v<Result, double>) {
    for (std::size_t k = 0; k < token_block; ++k) to[k] = static_cast<Result>(0.0 - x[k]);
  } else {
    const auto n = static_cast<Eigen::Index>(count);
    Eigen::Map<Eigen::Array<Result, Eigen::Dynamic, 1>>(to, n) = (0.0 - block_array(x).head(n)).template cast<Result>();
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

/// ρ − 1 − log ρ, an estimate of a KL divergence that is never negative; a series near 1, where rounding eats the
/// difference.
template <std::floating_point Number>
Number divergence_of(Number log_ratio, Number ratio) noexcept {
  const Number l = log_ratio, series = l * l * (Number(0.5) + l * (Number(1.0 / 6) + l * Number(1.0 / 24)));
  return std::abs(l) < Number(0.01) ? series : ratio - Number(1) - l;
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
