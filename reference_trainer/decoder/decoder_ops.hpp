#pragma once

#include <ATen/ATen.h>

namespace coho::trainer {

/// RMSNorm over the last dimension (Zhang and Sennrich 2019): normalised in fp32, cast back, times the weight.
///   y = x / √(mean(x²) + ε) · w;  x [N, H], w [H]. Differentiable.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

/// The two halves of `rms_norm` for functions with a handwritten backward pass; no gradient is recorded.
struct rms_norm_result {
  at::Tensor y;  ///< [N, H] in x's type
  at::Tensor r;  ///< [N] fp32: 1/√(mean(x²) + ε)
};
rms_norm_result rms_norm_forward(const at::Tensor& x, const at::Tensor& weight, double epsilon);
/// Recomputes y from x and r, bit-identical to `rms_norm_forward`.
at::Tensor recompute_rms_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& r);
struct rms_norm_gradient {
  at::Tensor x, weight;
};
/// dx = r·(g∘w) − x · r³/H · Σ(g∘w∘x), dw = Σ_rows g∘x·r; dw only if `with_weight`.
rms_norm_gradient rms_norm_backward(const at::Tensor& g, const at::Tensor& x, const at::Tensor& weight,
                                    const at::Tensor& r, bool with_weight);

/// Rotary embedding, half-split layout (that of Hugging Face checkpoints): x [N, heads, D], cos and sin [N, D/2] fp32.
/// Differentiable in x.
at::Tensor apply_rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

/// SwiGLU's gate: silu(gate) ∘ up, without temporaries. Not differentiable.
at::Tensor gated_silu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace coho::trainer
