#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/ATen.h>

#include "quant/nf4.hpp"

namespace coho::trainer {

/// Reads a weight in NF4 from the tensors of a checkpoint that bitsandbytes wrote. For the weight `name` it uses
///   name                                     U8 [⌈n/2⌉, 1], the codes
///   name.absmax                              F32 [blocks], or U8 [blocks] with double quantisation
///   name.quant_map                           F32 [16], NF4's values
///   name.nested_absmax                       F32 [⌈blocks/nested_blocksize⌉]; with double quantisation only
///   name.nested_quant_map                    F32 [256]; likewise
///   name.quant_state.bitsandbytes__nf4       U8, JSON: quant_type, blocksize, dtype, shape, and with double
///                                            quantisation nested_blocksize, nested_dtype, nested_offset
/// `expected` is the weight's shape from the model's configuration. The result shares the tensors' storage. Throws
/// `file_error` naming `path` and the tensor if one is missing, has the wrong type or size, contradicts another or has
/// values that are not finite, or if the weight has another 4-bit type.
///
///     const auto tensors = read_tensors("model.safetensors");
///     const nf4_tensor q = read_nf4(tensors, "model.layers.0.self_attn.q_proj.weight", {4096, 4096}, "model.safetensors");
nf4_tensor read_nf4(const std::map<std::string, at::Tensor>& tensors, const std::string& name,
                    const std::vector<std::int64_t>& expected, std::string_view path);

/// The same checks except those of `absmax` in fp32, so that a checkpoint in a mapped file can be checked without
/// reading its weights.
void check_nf4(const std::map<std::string, at::Tensor>& tensors, const std::string& name,
               const std::vector<std::int64_t>& expected, std::string_view path);

/// The tensors that a checkpoint stores for the weight: those that `read_nf4` takes, under the same names.
std::map<std::string, at::Tensor> nf4_tensors(const std::string& name, const nf4_tensor& weight);

}  // namespace coho::trainer
