#pragma once

#include <cstdint>
#include <span>

#include <ATen/ATen.h>

namespace coho::trainer {

/// Causal attention over right-padded sequences, differentiable.
///
///   out = softmax(q kᵀ / √D + causal mask) v
///
/// q [B, T, A, D], k and v [B, T, K, D] with A a multiple of K (grouped-query attention); returns [B, T, A, D]. window
/// > 0 lets position t see only positions t − window + 1 … t (Mistral's sliding window); 0 is off.
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t window);

/// One query per sequence against its cached keys and values, no gradient.
///
/// q [n, A, D]; keys, values [n, K, T, D]; mask [n, T] additive in the scores' type (0 or −inf). Returns [n, A, D].
/// Keys are not repeated for grouped queries.
at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                            const at::Tensor& mask);

/// Keys and values [K, P, D] that precede those of every sequence, stored once.
struct shared_keys {
  at::Tensor keys, values;
  at::Tensor mask{};  ///< [n, P] additive; undefined if every sequence sees all of them
};
/// The same for sequences that all continue the shared keys.
at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                            const at::Tensor& mask, const shared_keys& shared);

/// Concatenated sequences that continue the same S shared keys, no gradient.
///
/// q [N, A, D]; keys, values [K, S + N, D], the shared ones first; mask from `continuation_mask`. Returns [N, A, D].
/// Keys are repeated neither for sequences nor for grouped queries.
at::Tensor continued_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                               const at::Tensor& mask);

/// [T, T] additive mask: 0 where query t may see key s (s ≤ t and, if window > 0, t − s < window), otherwise −inf.
at::Tensor causal_mask(std::int64_t length, std::int64_t window, const at::TensorOptions& options);

/// [N, S + N] additive mask for concatenated sequences of the given lengths, N tokens in total: 0 for the S shared keys
/// that directly precede each sequence (within the window) and, causally, for the sequence's own keys; −inf for others.
at::Tensor continuation_mask(std::int64_t shared, std::span<const std::int64_t> lengths, std::int64_t window,
                             const at::TensorOptions& options);

}  // namespace coho::trainer
