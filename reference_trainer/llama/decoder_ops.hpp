#pragma once

#include <ATen/ATen.h>

namespace coho::trainer {

/// RMSNorm over the last dimension (Zhang and Sennrich 2019): normalised in fp32, cast back, times the weight.
///   y = x / √(mean(x²) + ε) · w;  x [N, H], w [H]. Differentiable.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

/// Rotary embedding, half-split layout (the one of Hugging Face checkpoints): x [N, heads, D], cos and sin [N, D/2] fp32.
/// Differentiable in x.
at::Tensor apply_rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

/// SwiGLU's gate: silu(gate) ∘ up.
at::Tensor gated_silu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace coho::trainer
