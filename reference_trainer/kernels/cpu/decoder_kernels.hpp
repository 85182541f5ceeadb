#pragma once

#include <cstdint>

/// The row-wise parts of a LLaMA layer in fp32; torch-free and single-threaded: callers divide rows among threads.
namespace coho::trainer::cpu {

/// Rows that RMSNorm reads in both passes.
struct rms_norm_rows {
  const float* x;  ///< [rows, width]
  const float* w;  ///< [width]
  std::int64_t rows, width;
};

/// y = x · r · w with r = 1/√(mean(x²) + ε), row by row. y [rows, width]; r [rows], kept for the backward pass.
void rms_norm_forward(const rms_norm_rows& rows_in, float epsilon, float* y, float* r);

/// dx = r·(g∘w) − x · r³/width · Σ(g∘w∘x), with the gradient g [rows, width] and r from the forward pass; adds
/// Σ_rows g∘x·r to dw [width]: callers pass a dw per block of rows and add these, so that the result does not depend on
/// threads.
void rms_norm_backward(const rms_norm_rows& rows_in, const float* r, const float* g, float* dx, float* dw);

/// The arguments of a rotation.
struct rope_rows {
  const float* x;  ///< [rows, heads, depth], rows `x_stride` apart: it may be a slice
  std::int64_t x_stride;
  const float* cos;  ///< [rows, depth/2], as is sin
  const float* sin;
  float* y;  ///< [rows, heads, depth], contiguous
  std::int64_t rows, heads, depth;
};

/// Rotary position embedding, the half-split rotation of each head: (a, b) → (a·cos − b·sin, b·cos + a·sin), with a the
/// first half of the head and b the second. `direction` 1 rotates forward, −1 back (the backward pass).
void apply_rope(const rope_rows& rows_in, float direction);

}  // namespace coho::trainer::cpu
