#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/ATen.h>

#include <coho/packed.hpp>

#include "decoder/layout.hpp"

namespace coho::trainer {

/// int64 tensor of token ids on a device.
at::Tensor token_tensor(std::span<const token> tokens, at::Device device = at::kCPU);

/// Prompts with responses as one forward needs them: the last response token is left out (nothing is predicted from
/// it); `predicting` are the packed rows whose hidden state predicts, or values, each response token.
struct response_batch {
  response_batch(const token_batch& batch, at::Device device);

  sequence_layout layout;
  at::Tensor tokens;      ///< int64 [N]
  at::Tensor predicting;  ///< int64 [M], M response tokens
  at::Tensor targets;     ///< int64 [M]
};

/// Whole token sequences of which only the last position is read out.
struct last_token_batch {
  last_token_batch(std::span<const std::vector<token>> sequences, at::Device device);

  sequence_layout layout;
  at::Tensor tokens;  ///< int64 [N]
  at::Tensor last;    ///< int64 [B]
};

/// Converts between host numbers and fp32 tensors.
std::vector<double> to_doubles(const at::Tensor& tensor);
at::Tensor from_doubles(std::span<const double> numbers, const at::Tensor& like);

}  // namespace coho::trainer
