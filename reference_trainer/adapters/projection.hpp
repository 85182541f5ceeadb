#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <ATen/ATen.h>

#include <coho/rng.hpp>

#include "adapters/lora.hpp"
#include "quant/linear_weight.hpp"

namespace coho::trainer {

/// One linear as it is computed: y = x Wᵀ + b + s · (drop(x) Aᵀ) Bᵀ (Hu et al. 2021; over a packed base, Dettmers et
/// al. 2023).
///
/// The bias may be null or undefined, the pair null (no adapter). `dropout` drops elements of the adapter's input like
/// `drop_elements`; the selection depends only on `random` and the element's index, so running the layer again drops
/// the same elements.
struct projection {
  const linear_weight* weight = nullptr;
  const at::Tensor* bias = nullptr;
  const lora_pair* pair = nullptr;
  double dropout = 0;
  rng random{0};
};

/// Whether the backward pass of `project_normed` and `project_gated` keeps their input, which is elementwise and can be
/// recomputed.
enum class keep_inputs { yes, no };

// The three places where a decoder block has linears. Each is one autograd function with a handwritten backward pass:
// gradients of inputs, A, B, dense weights, biases and norm weights where requested. A packed base is unpacked again
// for backward, and no dense copy of it is kept; of the adapter, u = x Aᵀ [N, r] is kept.
//   dB = s gᵀ u,   dA = s (g B)ᵀ drop(x),   dx = g W + s drop((g B) A),   dW = gᵀ x,   db = Σ g

/// x [N, in] → [N, out].
at::Tensor project(const at::Tensor& x, const projection& linear);

/// RMSNorm of x [N, H], then each linear (at most three) on the result: y_i = projection_i(x / √(mean(x²) + ε) · w).
std::vector<at::Tensor> project_normed(const at::Tensor& x, const at::Tensor& norm_weight, double epsilon,
                                       std::span<const projection> linears, keep_inputs keep = keep_inputs::no);

/// The end of SwiGLU: projection(silu(gate) ∘ up), gate and up [N, in].
at::Tensor project_gated(const at::Tensor& gate, const at::Tensor& up, const projection& linear,
                         keep_inputs keep = keep_inputs::no);

}  // namespace coho::trainer
