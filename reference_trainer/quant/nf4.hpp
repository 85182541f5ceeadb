#pragma once

#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

namespace coho::trainer {

struct nf4_options {
  std::int64_t block_size = 64;  ///< weights that share an absmax: a multiple of 32
  bool double_quantize = true;   ///< absmax in 8 bits too: 4.127 bits per weight instead of 4.5

  /// Throws `option_error`.
  void validate() const;
};

/// A weight in NF4 (Dettmers et al. 2023, "QLoRA", §3), in the memory layout of bitsandbytes: flattened row by row and
/// cut into blocks of `block_size`, of which the last may be short; an element is value[code]·absmax of its block. With
/// double quantisation absmax is itself map[q]·nested_absmax + offset. Copies share storage.
struct nf4_tensor {
  std::vector<std::int64_t> shape;                        ///< of the weight: [out, in]
  at::ScalarType type = at::kFloat;                       ///< of the original weight: fp32, bf16 or fp16
  std::int64_t block_size = 64, nested_block_size = 256;  ///< in weights, in blocks
  at::Tensor codes;                                       ///< U8 [⌈n/2⌉, 1], the first of a pair in the high half
  at::Tensor absmax;                                      ///< F32 [blocks], or U8 [blocks] if doubly quantised
  at::Tensor nested_absmax;                               ///< F32 [⌈blocks/nested_block_size⌉], or undefined
  at::Tensor nested_map;                                  ///< F32 [256], or undefined
  float nested_offset = 0;

  bool defined() const { return codes.defined(); }
  bool double_quantized() const { return nested_absmax.defined(); }
  /// Elements of the weight, not of the codes.
  std::int64_t numel() const;
  std::int64_t blocks() const { return (numel() + block_size - 1) / block_size; }
  at::Device device() const { return codes.device(); }
  /// All parts on a device; those already there are shared.
  nf4_tensor to(at::Device device) const;
  /// Throws `argument_error` when the parts do not match.
  void check() const;
};

/// Quantises a weight with any strides on any device, in fp32, bf16 or fp16, without an fp32 copy of the whole. Codes
/// are found on x·(1/absmax) in fp32, ties down; a block of zeros takes the code of 0 (bitsandbytes' CUDA kernel gives
/// it −1 there, times an absmax of 0). The offset is the mean absmax, summed in double in a fixed order. The result
/// does not depend on the number of threads or the instruction set. Throws `argument_error` for empty weights, other
/// types and values that are not finite.
///
///     const nf4_tensor packed = quantize_nf4(weight);
///     const at::Tensor y = nf4_linear(x, packed);  // x Wᵀ
nf4_tensor quantize_nf4(const at::Tensor& weight, const nf4_options& options = {});

/// The dequantised weight, [out, in] in fp32, bf16 or fp16: the fp32 product rounded once, bit-identical to
/// bitsandbytes.
at::Tensor dequantize(const nf4_tensor& weight, at::ScalarType type);

/// The same into `out`: contiguous, fp32 or bf16, of the weight's shape and device. Nothing is allocated on the CPU.
void dequantize_into(const nf4_tensor& weight, at::Tensor& out);

/// The same bits using only libtorch's operators, on any device: the reference for the kernels, and the fallback on
/// devices without kernels.
at::Tensor dequantize_by_gather(const nf4_tensor& weight, at::ScalarType type);

/// y = x Wᵀ, x [N, in] in fp32, bf16 or fp16 -> [N, out] in x's type. Up to 8 rows are multiplied directly from the
/// codes with sums in fp32, which reads an eighth of the memory of an fp32 weight; more rows dequantise panels of the
/// weight that fit in a cache. No gradient is recorded.
at::Tensor nf4_linear(const at::Tensor& x, const nf4_tensor& weight);

/// g W, g [N, out] -> [N, in] in g's type: the gradient of `nf4_linear` with respect to x.
at::Tensor nf4_linear_backward(const at::Tensor& g, const nf4_tensor& weight);

}  // namespace coho::trainer
