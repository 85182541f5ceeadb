#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>

/// Loops over host arrays in blocks that stay in the L1 cache. Kept only where a row of the benchmarks
/// shows a gain: `kl_loss`, `kl_estimate k3` and `exact_kl`.
namespace coho::inline v0_1::detail {

/// x where the condition holds, else 0. A function call evaluates x before the choice, so no branch is needed.
template <std::floating_point Number>
constexpr Number keep_if(bool condition, Number x) noexcept {
  return condition ? x : Number(0);
}

/// x limited to [low, high], NaN kept, in the form that maps to a processor instruction.
template <std::floating_point Number>
constexpr Number limit(Number x, Number low, Number high) noexcept {
  const Number above = low > x ? low : x;
  return high < above ? high : above;
}

/// Elements that one block of a fused loop handles; ten scratch arrays of this size fit the L1 cache.
inline constexpr std::size_t token_block = 256;

/// Σ_k term(k) of a block in double. Eight parallel sums, because compilers may not reorder additions.
template <class Term>
double block_sum(const Term& term) noexcept {
  constexpr std::size_t lanes = 8;
  double sums[lanes] = {};
  for (std::size_t k = 0; k < token_block; k += lanes) {
    for (std::size_t j = 0; j < lanes; ++j) sums[j] += static_cast<double>(term(k + j));
  }
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

/// Scratch of one block. Loops over a whole block have a constant length, no aliasing and one choice each,
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
  /// e to the power of each element.
  void exp() noexcept {
    for (Number& x : data) x = std::exp(x);
  }
};

/// Σ_k w_k·x_k in double.
template <class Number>
double dot(const double* weights, const Number* x) noexcept {
  return block_sum([=](std::size_t k) { return weights[k] * static_cast<double>(x[k]); });
}

/// The number of nonzero weights in a block.
template <class Number>
double count_nonzero(const Number* weights) noexcept {
  return block_sum([=](std::size_t k) { return weights[k] != 0 ? 1.0 : 0.0; });
}

/// Replaces numbers of weight 0 by 0; `counted` is the number of nonzero weights. A separate loop: compilers do not
/// vectorise choices between values computed in the same loop.
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

}  // namespace coho::inline v0_1::detail
