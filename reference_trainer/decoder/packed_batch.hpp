#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/ATen.h>

#include <coho/packed.hpp>

#include "decoder/layout.hpp"

namespace coho::trainer {

/// Prompts with responses as one forward pass needs them: the last response token is left out (nothing is predicted
/// from it); `predicting` are the packed rows whose hidden state predicts, or values, each response token.
struct response_batch {
  /// Throws argument_error for an empty prompt, or unless there is one response per prompt; responses may be empty.
  response_batch(const token_batch& batch, at::Device device);

  sequence_layout layout;
  at::Tensor tokens;      ///< int64 [N]
  at::Tensor predicting;  ///< int64 [M], M response tokens
  at::Tensor targets;     ///< int64 [M]
};

/// Whole token sequences of which only the last position is read out.
struct last_token_batch {
  /// Throws argument_error for an empty sequence.
  last_token_batch(std::span<const std::vector<token>> sequences, at::Device device);

  sequence_layout layout;
  at::Tensor tokens;  ///< int64 [N]
  at::Tensor last;    ///< int64 [B]
};

}  // namespace coho::trainer
