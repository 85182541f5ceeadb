#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include <coho/torch/detail/simd_lanes.hpp>

namespace coho::inline v0_1 {

/// A block of logits, rewritten in place: `rows` tokens by `columns` words of the vocabulary from `first_column` on.
/// The numbers of a row are contiguous, and rows are `stride` apart. All pointers are on the tensors' device.
template <class Number>
struct logit_block {
  Number* logits;
  std::int64_t stride, rows, columns;
  const Number* bias;  ///< [columns], or null
  Number inverse_temperature;
  const std::int64_t* targets;  ///< [rows], counted over the whole vocabulary; one in another block changes nothing
  std::int64_t first_column;
};

/// What forward updates, block after block of the same rows: one number per row, and `entropy_block`.
template <class Number>
struct softmax_sums {
  Number* maximum;        ///< m; −∞ before the first block
  Number* sum;            ///< s
  Number* weighted_sum;   ///< u, or null
  Number* chosen;         ///< z of the target
  Number* rescale;        ///< receives r
  Number* entropy_block;  ///< contiguous [rows, columns], or null: receives (z − m') exp(z − m')
};

/// What backward reads, one number per row.
template <class Number>
struct log_prob_slopes {
  const Number* log_sum_exp;
  const Number* entropy;     ///< H; read only with `d_entropy`
  const Number* d_log_prob;  ///< g, or null
  const Number* d_entropy;   ///< h, or null
};

namespace detail {

/// e^x for x ≤ 0, with x clamped to the smallest value whose e^x differs from 0: −∞ gives 0, and 0 times it gives 0.
template <class Number>
struct falling_exponential {
  simd_lanes<Number> x, e;

  [[gnu::always_inline]] explicit falling_exponential(const simd_lanes<Number>& of) {
    const simd_lanes<Number> least = exponential_constants<Number>::least;
    x = simd_lanes<Number>::choose(of < least, least, of);
    e = simd_lanes<Number>::choose(of < least, 0.0, exponential(x));
  }
};

/// The rows of a block on the CPU, `width` logits at a time; the rest of a row is in a buffer padded with −∞.
template <class Number>
struct log_prob_rows {
  using vector = simd_lanes<Number>;
  static constexpr std::int64_t count = vector::count, width = 4 * count;
  static constexpr Number nothing = -std::numeric_limits<Number>::infinity();

  [[gnu::always_inline]] static vector load(const Number* from) { return vector::load(from, vector::count); }
  [[gnu::always_inline]] static void store(const vector& x, Number* to) { x.store(to, vector::count); }

  /// most ← max(most, z) per lane; NaN in z is left to the sum.
  [[gnu::always_inline]] static void raise_maximum(vector& most, const vector& z) {
    most = vector::choose(most < z, z, most);
  }

  /// z of `width` logits in place, and its maximum per lane. `plain`: z is the logit itself.
  [[gnu::always_inline]] static void scale_logits(Number* row, const Number* bias, const vector& factor, bool plain,
                                                  vector* most) {
    vector z[4];
#pragma GCC unroll 4
    for (std::int64_t k = 0; k < 4; ++k) {
      z[k] = load(row + k * count);
      if (!plain) {
        z[k] = z[k] * factor;
        if (bias) z[k] = z[k] + load(bias + k * count);
        store(z[k], row + k * count);
      }
      raise_maximum(most[k], z[k]);
    }
  }

  /// exp(z − m) of `width` logits in place; adds to the sums. `entropy` receives (z − m)·exp(z − m) if it is not null.
  [[gnu::always_inline]] static void exponentiate(Number* row, Number* entropy, const vector& shift, bool weighted,
                                                  vector& sum, vector& weighted_sum) {
#pragma GCC unroll 4
    for (std::int64_t k = 0; k < 4; ++k) {
      const falling_exponential<Number> p(load(row + k * count) - shift);
      store(p.e, row + k * count);
      sum = sum + p.e;
      if (!weighted) continue;
      const vector product = p.x * p.e;
      weighted_sum = weighted_sum + product;
      if (entropy) store(product, entropy + k * count);
    }
  }

  /// The lanes added in order.
  [[gnu::always_inline]] static Number sum_lanes(const vector& x) {
    Number out = 0;
    for (std::int64_t k = 0; k < count; ++k) out += x.numbers[k];
    return out;
  }

  /// n < width numbers, then `other` up to `width`.
  [[gnu::always_inline]] static void copy_padded(Number* buffer, const Number* from, std::int64_t n, Number other) {
    std::copy(from, from + n, buffer);
    std::fill(buffer + n, buffer + width, other);
  }

  /// `log_prob_block_kernels::forward`, two passes over each row: z and its maximum, then exponentials and sums.
  // Copies of the members: a store could alias what is behind a reference.
  [[gnu::always_inline]] static void forward(const logit_block<Number>& block, const softmax_sums<Number>& sums) {
    const auto [logits, stride, rows, columns, bias, inverse_temperature, targets, first_column] = block;
    const auto [maximum, sum, weighted_sum, chosen, rescale, entropy_block] = sums;
    const bool plain = !bias && inverse_temperature == 1, weighted = weighted_sum || entropy_block;
    const std::int64_t whole = columns / width * width, rest = columns - whole;
    const vector factor = inverse_temperature;
    Number tail[width], tail_bias[width], tail_entropy[width];
    if (bias) copy_padded(tail_bias, bias + whole, rest, 0);
    for (std::int64_t r = 0; r < rows; ++r) {
      Number* row = logits + r * stride;
      Number* entropy = entropy_block ? entropy_block + r * columns : nullptr;
      vector most[4] = {nothing, nothing, nothing, nothing};
      for (std::int64_t i = 0; i < whole; i += width)
        scale_logits(row + i, bias ? bias + i : nullptr, factor, plain, most);
      if (rest > 0) {
        copy_padded(tail, row + whole, rest, nothing);
        scale_logits(tail, bias ? tail_bias : nullptr, factor, plain, most);
      }
      const std::int64_t target = targets[r] - first_column;
      if (target >= 0 && target < columns) chosen[r] = target < whole ? row[target] : tail[target - whole];

      const Number before = maximum[r];
      Number after = before;
      for (const vector& m : most)
        for (std::int64_t k = 0; k < count; ++k) after = std::max(after, m.numbers[k]);
      // Only −∞ so far: any shift will do.
      const Number shift = after == nothing ? 0 : after, ratio = before == nothing ? 0 : std::exp(before - shift);
      vector added, added_weighted;
      for (std::int64_t i = 0; i < whole; i += width)
        exponentiate(row + i, entropy ? entropy + i : nullptr, shift, weighted, added, added_weighted);
      if (rest > 0) {
        exponentiate(tail, tail_entropy, shift, weighted, added, added_weighted);
        std::copy(tail, tail + rest, row + whole);
        if (entropy) std::copy(tail_entropy, tail_entropy + rest, entropy + whole);
      }
      if (weighted_sum) {
        const Number moved = ratio > 0 ? ratio * (weighted_sum[r] + (before - shift) * sum[r]) : 0;
        weighted_sum[r] = moved + sum_lanes(added_weighted);
      }
      maximum[r] = after;
      sum[r] = ratio * sum[r] + sum_lanes(added);
      rescale[r] = ratio;
    }
  }

  /// What the gradients of a row have in common; `g`, `h` as in `log_prob_slopes`.
  struct row_slopes {
    vector factor, log_sum_exp, entropy, g, h;
    bool of_entropy;
  };

  /// dL/dlogit of `width` logits in place, without the target's term.
  [[gnu::always_inline]] static void write_gradients(Number* row, const Number* bias, const row_slopes& slopes) {
    const auto [factor, log_sum_exp, entropy, g, h, of_entropy] = slopes;
#pragma GCC unroll 4
    for (std::int64_t k = 0; k < 4; ++k) {
      vector z = load(row + k * count) * factor;
      if (bias) z = z + load(bias + k * count);
      const falling_exponential<Number> p(z - log_sum_exp);
      vector slope = g;
      if (of_entropy) slope = slope + (p.x + entropy) * h;
      store(-(p.e * slope * factor), row + k * count);
    }
  }

  /// `log_prob_block_kernels::backward`, one pass over each row, then the target's term.
  [[gnu::always_inline]] static void backward(const logit_block<Number>& block, const log_prob_slopes<Number>& slopes) {
    const auto [logits, stride, rows, columns, bias, inverse_temperature, targets, first_column] = block;
    const auto [log_sum_exp, entropy, d_log_prob, d_entropy] = slopes;
    const std::int64_t whole = columns / width * width, rest = columns - whole;
    Number tail[width], tail_bias[width];
    if (bias) copy_padded(tail_bias, bias + whole, rest, 0);
    for (std::int64_t r = 0; r < rows; ++r) {
      Number* row = logits + r * stride;
      const Number g = d_log_prob ? d_log_prob[r] : 0;
      const row_slopes common{.factor = inverse_temperature,
                              .log_sum_exp = log_sum_exp[r],
                              .entropy = d_entropy ? entropy[r] : 0,
                              .g = g,
                              .h = d_entropy ? d_entropy[r] : 0,
                              .of_entropy = d_entropy != nullptr};
      for (std::int64_t i = 0; i < whole; i += width) write_gradients(row + i, bias ? bias + i : nullptr, common);
      if (rest > 0) {
        copy_padded(tail, row + whole, rest, 0);
        write_gradients(tail, bias ? tail_bias : nullptr, common);
        std::copy(tail, tail + rest, row + whole);
      }
      const std::int64_t target = targets[r] - first_column;
      if (target >= 0 && target < columns) row[target] += g * inverse_temperature;
    }
  }
};

/// The same loops for two instruction sets, selected at run time: a default build runs on any x86-64. `wider_lanes`:
/// whether this processor has the second one.
#if defined(__x86_64__) && defined(__GNUC__)
#define COHO_WIDER_LANES __attribute__((target("avx2,fma")))
inline bool wider_lanes() {
  static const bool have = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return have;
}
#else
#define COHO_WIDER_LANES
inline bool wider_lanes() { return false; }
#endif

template <class Number>
COHO_WIDER_LANES void log_prob_rows_forward_wider(const logit_block<Number>& block, const softmax_sums<Number>& sums) {
  log_prob_rows<Number>::forward(block, sums);
}
template <class Number>
COHO_WIDER_LANES void log_prob_rows_backward_wider(const logit_block<Number>& block,
                                                   const log_prob_slopes<Number>& slopes) {
  log_prob_rows<Number>::backward(block, slopes);
}
#undef COHO_WIDER_LANES

/// `log_prob_block_kernels::forward` on the CPU, for floats or doubles.
template <class Number>
void log_prob_block_forward_cpu(const logit_block<Number>& block, const softmax_sums<Number>& sums) {
  if (wider_lanes())
    log_prob_rows_forward_wider(block, sums);
  else
    log_prob_rows<Number>::forward(block, sums);
}
/// `log_prob_block_kernels::backward` on the CPU.
template <class Number>
void log_prob_block_backward_cpu(const logit_block<Number>& block, const log_prob_slopes<Number>& slopes) {
  if (wider_lanes())
    log_prob_rows_backward_wider(block, slopes);
  else
    log_prob_rows<Number>::backward(block, slopes);
}

}  // namespace detail
}  // namespace coho::inline v0_1
