#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "architecture/config.hpp"

namespace coho::trainer {

/// Suffixes of the tensors beside an NF4-packed weight (bitsandbytes' layout); the last two are there with double
/// quantisation.
inline constexpr std::array<const char*, 5> nf4_companions{".absmax", ".quant_map", ".quant_state.bitsandbytes__nf4",
                                                           ".nested_absmax", ".nested_quant_map"};

/// Whether a name is that of a linear layer within a decoder layer: what is quantised and what takes an adapter.
bool is_layer_linear(std::string_view tensor_name);

/// Shapes of the linears of one decoder layer by module path ("self_attn.q_proj" → [A·D, H]).
std::map<std::string, std::vector<std::int64_t>> layer_linear_shapes(const llama_config& config);

/// Names and shapes of all weights of a checkpoint. A tied head has no entry; a sequence classifier has `score.weight`
/// [1, H] in the head's place.
std::map<std::string, std::vector<std::int64_t>> hf_shapes(const llama_config& config);

}  // namespace coho::trainer
