#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/ATen.h>

namespace coho::trainer {

/// The layout of packed tokens: B concatenated sequences of lengths T_i, N = Σ T_i tokens in total.
///
/// Linear layers work on the N packed rows. Attention needs [B, max T_i]: `to_padded` and `to_packed` are the two index
/// tensors between the forms. Padding is on the right, where causal attention never reads it, so it needs no mask.
struct sequence_layout {
  /// `first_positions`: where each sequence's positions begin; 0 if empty. Throws argument_error for an empty sequence.
  explicit sequence_layout(std::span<const std::int64_t> lengths, at::Device device = at::kCPU,
                           std::span<const std::int64_t> first_positions = {});

  std::int64_t sequences = 0;
  std::int64_t tokens = 0;
  std::int64_t longest = 0;
  bool uniform = true;                ///< all lengths equal: the two forms are views of each other
  std::vector<std::int64_t> offsets;  ///< B + 1
  at::Tensor positions;               ///< int64 [N]: position of each token in its sequence
  at::Tensor to_padded;               ///< int64 [B · longest], undefined if uniform
  at::Tensor to_packed;               ///< int64 [N], undefined if uniform

  /// [N, C…] → [B, longest, C…]. Padding repeats an actual row.
  at::Tensor pad(const at::Tensor& packed) const;
  /// [B, longest, C…] → [N, C…].
  at::Tensor pack(const at::Tensor& padded) const;
};

}  // namespace coho::trainer
