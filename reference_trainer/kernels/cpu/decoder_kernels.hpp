#pragma once

#include <cstdint>

/// The row-wise parts of a LLaMA layer in fp32; torch-free and single-threaded: callers divide rows among threads.
namespace coho::trainer::cpu {

/// y = x · r · w with r = 1/√(mean(x²) + ε), row by row. x, y [rows, width]; w [width]; r [rows] (kept for backward).
void rms_norm_forward(const float* x, const float* w, float* y, float* r, std::int64_t rows, std::int64_t width,
                      float epsilon);

/// dx = r·(g∘w) − x · r³/width · Σ(g∘w∘x), with r from the forward pass; adds Σ_rows g∘x·r to dw: callers pass a dw
/// per block of rows and add these, so that the result does not depend on threads.
void rms_norm_backward(const float* g, const float* x, const float* w, const float* r, float* dx, float* dw,
                       std::int64_t rows, std::int64_t width);

/// Rotary position embedding, the half-split rotation of each head: (a, b) → (a·cos − b·sin, b·cos + a·sin), with a the
/// first half of the head and b the second. x, y [rows, heads, depth], x with rows `x_stride` apart (it may be a slice)
/// and y contiguous; cos, sin [rows, depth/2]. `direction` 1 rotates forward, −1 back (the backward pass).
void apply_rope(const float* x, std::int64_t x_stride, const float* cos, const float* sin, float* y, std::int64_t rows,
                std::int64_t heads, std::int64_t depth, float direction);

}  // namespace coho::trainer::cpu
