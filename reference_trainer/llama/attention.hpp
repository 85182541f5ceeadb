#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace coho::trainer {

/// Causal attention over right-padded sequences, differentiable.
///
///   out = softmax(q kᵀ / √D + causal mask) v
///
/// q [B, T, A, D], k and v [B, T, K, D] with A a multiple of K (grouped-query attention); returns [B, T, A, D].
/// window > 0 lets position t see positions t − window + 1 … t only (Mistral's sliding window); 0 is off.
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t window);

/// One query a sequence against its cached keys and values, no gradient.
///
/// q [n, A, D]; keys, values [n, K, T, D]; mask [n, T] additive in the scores' type (0 or −inf). Returns [n, A, D].
/// Keys are not repeated for grouped queries.
at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                            const at::Tensor& mask);

/// [T, T] additive mask: 0 where key s may be seen from query t (s ≤ t and, if window > 0, t − s < window), else −inf.
at::Tensor causal_mask(std::int64_t length, std::int64_t window, const at::TensorOptions& options);

}  // namespace coho::trainer
