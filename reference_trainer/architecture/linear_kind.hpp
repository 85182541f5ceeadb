#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "architecture/config.hpp"

namespace coho::trainer {

/// The seven linear layers of a decoder block, in the order used everywhere.
enum class linear_kind : std::size_t { q, k, v, o, gate, up, down };
inline constexpr std::size_t linear_kinds = 7;

/// Ranks of an adapter in one block, by linear_kind; 0: not adapted.
using linear_ranks = std::array<std::int64_t, linear_kinds>;

/// The path of a linear layer inside its block as checkpoints spell it: "self_attn.q_proj", …, "mlp.down_proj".
const char* linear_path(linear_kind kind);
/// The last part of that path: "q_proj".
std::string_view linear_name(linear_kind kind);

/// Rows and columns of its weight: [out, in].
std::array<std::int64_t, 2> linear_shape(const llama_config& config, linear_kind kind);
/// Whether the linear has a bias [out], stored as "….q_proj.bias".
bool linear_has_bias(const llama_config& config, linear_kind kind);

}  // namespace coho::trainer
