#pragma once

#include <cstdint>

/// Launchers of the CUDA kernels: torch-free C functions. Pointers are device pointers of the current device unless
/// stated otherwise; `stream` is a cudaStream_t (null: the default stream). They only enqueue: nothing is synchronised
/// or allocated, so a CUDA graph may record them. Each returns a cudaError_t: 0 for success, 1 (cudaErrorInvalidValue)
/// for arguments out of range, in which case nothing was launched. Results do not depend on timing: every reduction has
/// a fixed order.
extern "C" {

/// The type of a tensor's elements.
enum coho_cuda_type { coho_cuda_float32 = 0, coho_cuda_bfloat16 = 1 };

/// A weight in NF4 (Dettmers et al. 2023, QLoRA, §3) in bitsandbytes' layout: n elements, flattened row by row and cut
/// into blocks of block_size; blocks = ⌈n/block_size⌉. Element e is code·scale of its block; if nested_map is given,
///   scale[b] = nested_map[absmax[b]]·nested_absmax[⌊b/nested_block_size⌋] + nested_offset   (two roundings)
/// and absmax[b] otherwise. The struct is in host memory; the pointers are device pointers.
struct coho_cuda_nf4 {
  const std::uint8_t* codes;  // [⌈n/2⌉], two a byte, the first in the high four bits; any alignment (fast: 4 bytes)
  const void* absmax;         // fp32 [blocks]; with nested_map: u8 [blocks]
  const float* nested_map;    // [256], or null: absmax is fp32
  const float* nested_absmax;      // [⌈blocks/nested_block_size⌉], or null
  float nested_offset;             //
  std::int64_t n;                  // elements, > 0
  std::int64_t block_size;         // a power of two from 2 to 2³⁰ (64 in bitsandbytes)
  std::int64_t nested_block_size;  // likewise (256 in bitsandbytes); read only with nested_map
};

/// out[e] = code·scale in fp32, rounded once to nearest even if out is bf16: bit-identical to the CPU kernel for finite
/// scales. `weight`: host pointer. out: [n] of `type`. 16-byte aligned `out`, 4-byte aligned codes and block_size ≥ 8
/// take the fast path.
///
///     if (const int error = coho_cuda_nf4_dequantize(&weight, buffer, coho_cuda_bfloat16, stream)) …
int coho_cuda_nf4_dequantize(const coho_cuda_nf4* weight, void* out, int type, void* stream);

/// y = x Wᵀ from the codes: x [batch, in], W [rows, in] with weight->n = rows·in, y [batch, rows]; x and y of `type`
/// and contiguous; 1 ≤ batch ≤ 8, in < 2³⁰. Products and sums in fp32, the scale applied to the sum over each run of 8
/// codes, y rounded once. in a multiple of 8, block_size ≥ 64, 16-byte aligned x and 4-byte aligned codes take the fast
/// path.
///
///     coho_cuda_nf4_matvec(&weight, x, 1, 4096, 11008, y, coho_cuda_bfloat16, stream);
int coho_cuda_nf4_matvec(const coho_cuda_nf4* weight, const void* x, std::int64_t batch, std::int64_t in,
                         std::int64_t rows, void* y, int type, void* stream);

/// A block of columns of logits, with what belongs to it. z = logit·inverse_temperature + bias[c].
struct coho_cuda_logit_block {
  float*
      logits;  // [rows, columns], rows `stride` numbers apart; 16-byte aligned with a stride divisible by 4 is faster
  std::int64_t stride, rows, columns;  // rows, columns ≥ 1, stride ≥ columns
  const float* bias;                   // [columns], or null
  float inverse_temperature;           //
  const std::int64_t* targets;         // [rows], counted over the whole vocabulary
  std::int64_t first_column;           // of the block, counted likewise
};

/// The state of an online softmax over blocks of columns, [rows] each.
struct coho_cuda_softmax_sums {
  float* maximum;        // −∞ before the first block
  float* sum;            //
  float* weighted_sum;   // or null
  float* chosen;         // z of the target, once its block was seen
  float* rescale;        //
  float* entropy_block;  // contiguous [rows, columns], or null; columns divisible by 4 are faster
};

/// The upstream gradients of log-probability and entropy, and what they need, [rows] each.
struct coho_cuda_log_prob_gradient {
  const float* log_sum_exp;
  const float* entropy;     // H; needed with d_entropy
  const float* d_log_prob;  // g; null: 0
  const float* d_entropy;   // h; null: 0
};

/// One block of columns of an online softmax over the vocabulary (Milakov and Gimelshein 2018, §3): the kernel for
/// coho::log_prob_block_kernels, with a stream. With m' = max(m, max_c z):
///   logits ← e = exp(z − m');  rescale = exp(m − m');  sum ← rescale·sum + Σ e;  maximum ← m'
///   weighted_sum ← rescale·(weighted_sum + (m − m')·sum) + Σ (z − m')·e;  entropy_block ← (z − m')·e
/// The structs are in host memory; their pointers are device pointers.
int coho_cuda_log_prob_forward(const coho_cuda_logit_block* block, const coho_cuda_softmax_sums* sums, void* stream);

/// logits ← dL/dlogit = inverse_temperature·(g·[c = target] − p·(g + h·(log p + H))) with log p = z − log_sum_exp.
int coho_cuda_log_prob_backward(const coho_cuda_logit_block* block, const coho_cuda_log_prob_gradient* gradient,
                                void* stream);
}
