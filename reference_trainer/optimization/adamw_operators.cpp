#include "optimization/adamw_operators.hpp"

#include <algorithm>
#include <vector>

#include <ATen/core/grad_mode.h>

namespace coho::trainer {
namespace {

// Exactly this type: `long long` would be ambiguous as a scalar.
constexpr std::int64_t word = 0xffffffff, half_word = 0xffff, exponent = 0x7f800000;

// m and v become the new moments and update p. All fp32.
void update_parameter(const at::Tensor& p, const at::Tensor& g, const at::Tensor& m, const at::Tensor& v,
                      const cpu::adamw_coefficients& coefficients) {
  m.mul_(coefficients.beta1).add_(g, 1.0f - coefficients.beta1);
  v.mul_(coefficients.beta2).addcmul_(g, g, 1.0f - coefficients.beta2);
  const at::Tensor scale = (v * coefficients.correction2).sqrt_().add_(coefficients.epsilon);
  p.mul_(1.0 - static_cast<double>(coefficients.learning_rate) * coefficients.weight_decay);
  p.addcdiv_(m, scale, -static_cast<double>(coefficients.learning_rate) * coefficients.correction1);
}

// 32-bit words in int64: products wrap at 2^64, which leaves their low halves correct.
at::Tensor low_product(const at::Tensor& words, std::int64_t factor) { return words.mul(factor).bitwise_and_(word); }

// Of non-negative words.
at::Tensor shift_right(const at::Tensor& words, int bits) { return words.bitwise_right_shift(at::Scalar(bits)); }

// cpu::rounding_bits(key, start + i) for i < n.
at::Tensor rounding_bits_tensor(std::int64_t n, std::uint32_t key, std::uint32_t start, const at::Device& device) {
  at::Tensor h =
      at::arange(n, at::TensorOptions().dtype(at::kLong).device(device)).add_(static_cast<std::int64_t>(start));
  h = h.bitwise_and_(word).bitwise_xor_(static_cast<std::int64_t>(key));
  h = low_product(h.bitwise_xor(shift_right(h, 16)), 0x85ebca6b);
  h = low_product(h.bitwise_xor(shift_right(h, 13)), 0xc2b2ae35);
  return h.bitwise_xor(shift_right(h, 16));
}

// Stochastic rounding of fp32 values with 16 random bits each, as the CPU kernel does it.
void round_to_bfloat16(const at::Tensor& out, const at::Tensor& value, const at::Tensor& random) {
  const at::Tensor bits = value.view(at::kInt).to(at::kLong).bitwise_and_(word);
  const at::Tensor finite = bits.bitwise_and(exponent).ne(exponent);
  const at::Tensor sum = shift_right(bits + random * finite, 16);
  // Through int16's two's complement: not every torch version has unsigned 16-bit words.
  out.view(at::kShort).copy_(at::where(sum.ge(0x8000), sum - 0x10000, sum));
}

// A dynamic map's numbers as a tensor on a device.
at::Tensor map_tensor(const float* numbers, std::int64_t n, const at::Device& device) {
  const at::Tensor out = at::empty({n}, at::kFloat);
  std::copy_n(numbers, n, out.data_ptr<float>());
  return out.to(device);
}

// [blocks, moment_block]; the last block is padded with zeros.
at::Tensor view_blocks(const at::Tensor& values) {
  const std::int64_t n = values.numel(), rest = n % cpu::moment_block;
  const at::Tensor whole = rest == 0 ? values : at::constant_pad_nd(values, {0, cpu::moment_block - rest});
  return whole.view({-1, cpu::moment_block});
}

// Writes a moment's 8-bit codes and the absmax of its blocks.
void encode_moment(const at::Tensor& values, const at::Tensor& codes, const at::Tensor& absmax,
                   const cpu::dynamic_map& map) {
  const at::Tensor blocks = view_blocks(values);
  const at::Tensor largest = blocks.abs().amax(1);
  absmax.copy_(largest);
  const at::Tensor divisor = at::where(largest.gt(0), largest, at::ones_like(largest)).unsqueeze(1);
  const at::Tensor boundaries = map_tensor(map.boundaries, 255, values.device());
  codes.copy_(at::bucketize(blocks / divisor, boundaries, /*out_int32=*/true, /*right=*/true)
                  .view({-1})
                  .narrow(0, 0, values.numel()));
}

}  // namespace

void adamw_by_operators(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                        const at::Tensor& second, const cpu::adamw_coefficients& coefficients) {
  const at::NoGradGuard no_gradient;
  update_parameter(parameter, gradient, first, second, coefficients);
}

void adamw_bfloat16_by_operators(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                                 const at::Tensor& second, const cpu::adamw_coefficients& coefficients,
                                 std::uint32_t key, std::uint32_t start) {
  const at::NoGradGuard no_gradient;
  const at::Tensor m = first.to(at::kFloat), v = second.to(at::kFloat);
  update_parameter(parameter, gradient, m, v, coefficients);
  const at::Tensor words = rounding_bits_tensor(parameter.numel(), key, start, parameter.device());
  round_to_bfloat16(first, m, words.bitwise_and(half_word));
  round_to_bfloat16(second, v, shift_right(words, 16));
}

void adamw_8bit_by_operators(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                             const at::Tensor& second, const at::Tensor& first_absmax, const at::Tensor& second_absmax,
                             const cpu::adamw_coefficients& coefficients) {
  const at::NoGradGuard no_gradient;
  const at::Tensor m = decode_moment(first, first_absmax, cpu::signed_dynamic_map());
  const at::Tensor v = decode_moment(second, second_absmax, cpu::unsigned_dynamic_map());
  update_parameter(parameter, gradient, m, v, coefficients);
  encode_moment(m, first, first_absmax, cpu::signed_dynamic_map());
  encode_moment(v, second, second_absmax, cpu::unsigned_dynamic_map());
}

at::Tensor decode_moment(const at::Tensor& codes, const at::Tensor& absmax, const cpu::dynamic_map& map) {
  const at::Tensor values = map_tensor(map.values, 256, codes.device()).index_select(0, codes.to(at::kInt));
  return view_blocks(values).mul(absmax.unsqueeze(1)).view({-1}).narrow(0, 0, codes.numel()).contiguous();
}

}  // namespace coho::trainer
