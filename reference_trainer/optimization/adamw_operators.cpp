#include "optimization/adamw_operators.hpp"

#include <algorithm>
#include <vector>

#include <ATen/core/grad_mode.h>

namespace coho::trainer {
namespace {

// Exactly this type: `long long` would be ambiguous as a scalar.
constexpr std::int64_t word = 0xffffffff, half_word = 0xffff, exponent = 0x7f800000;

// m and v become the new moments and update p. All fp32.
void advance(const at::Tensor& p, const at::Tensor& g, const at::Tensor& m, const at::Tensor& v,
             const cpu::adamw_coefficients& numbers) {
  m.mul_(numbers.beta1).add_(g, 1.0f - numbers.beta1);
  v.mul_(numbers.beta2).addcmul_(g, g, 1.0f - numbers.beta2);
  const at::Tensor scale = (v * numbers.correction2).sqrt_().add_(numbers.epsilon);
  p.mul_(1.0 - static_cast<double>(numbers.learning_rate) * numbers.weight_decay);
  p.addcdiv_(m, scale, -static_cast<double>(numbers.learning_rate) * numbers.correction1);
}

// 32-bit words in int64: products wrap at 2^64, which leaves their low halves correct.
at::Tensor low_product(const at::Tensor& words, std::int64_t factor) { return words.mul(factor).bitwise_and_(word); }

at::Tensor shifted(const at::Tensor& words, int bits) { return words.bitwise_right_shift(at::Scalar(bits)); }

at::Tensor rounding_words(std::int64_t n, std::uint32_t key, std::uint32_t start, const at::Device& device) {
  at::Tensor h =
      at::arange(n, at::TensorOptions().dtype(at::kLong).device(device)).add_(static_cast<std::int64_t>(start));
  h = h.bitwise_and_(word).bitwise_xor_(static_cast<std::int64_t>(key));
  h = low_product(h.bitwise_xor(shifted(h, 16)), 0x85ebca6b);
  h = low_product(h.bitwise_xor(shifted(h, 13)), 0xc2b2ae35);
  return h.bitwise_xor(shifted(h, 16));
}

void round_into(const at::Tensor& place, const at::Tensor& value, const at::Tensor& random) {
  const at::Tensor bits = value.view(at::kInt).to(at::kLong).bitwise_and_(word);
  const at::Tensor finite = bits.bitwise_and(exponent).ne(exponent);
  const at::Tensor sum = shifted(bits + random * finite, 16);
  // Through int16's two's complement: not every torch version has unsigned 16-bit words.
  place.view(at::kShort).copy_(at::where(sum.ge(0x8000), sum - 0x10000, sum));
}

at::Tensor on_device(const float* numbers, std::int64_t n, const at::Device& device) {
  const at::Tensor out = at::empty({n}, at::kFloat);
  std::copy_n(numbers, n, out.data_ptr<float>());
  return out.to(device);
}

at::Tensor in_blocks(const at::Tensor& values) {
  const std::int64_t n = values.numel(), rest = n % cpu::moment_block;
  const at::Tensor whole = rest == 0 ? values : at::constant_pad_nd(values, {0, cpu::moment_block - rest});
  return whole.view({-1, cpu::moment_block});
}

void encode(const at::Tensor& values, const at::Tensor& codes, const at::Tensor& absmax, const cpu::dynamic_map& map) {
  const at::Tensor blocks = in_blocks(values);
  const at::Tensor largest = blocks.abs().amax(1);
  absmax.copy_(largest);
  const at::Tensor divisor = at::where(largest.gt(0), largest, at::ones_like(largest)).unsqueeze(1);
  const at::Tensor boundaries = on_device(map.boundaries, 255, values.device());
  codes.copy_(at::bucketize(blocks / divisor, boundaries, /*out_int32=*/true, /*right=*/true)
                  .view({-1})
                  .narrow(0, 0, values.numel()));
}

}  // namespace

void adamw_by_operators(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                        const at::Tensor& second, const cpu::adamw_coefficients& numbers) {
  const at::NoGradGuard no_gradient;
  advance(parameter, gradient, first, second, numbers);
}

void adamw_bfloat16_by_operators(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                                 const at::Tensor& second, const cpu::adamw_coefficients& numbers, std::uint32_t key,
                                 std::uint32_t start) {
  const at::NoGradGuard no_gradient;
  const at::Tensor m = first.to(at::kFloat), v = second.to(at::kFloat);
  advance(parameter, gradient, m, v, numbers);
  const at::Tensor words = rounding_words(parameter.numel(), key, start, parameter.device());
  round_into(first, m, words.bitwise_and(half_word));
  round_into(second, v, shifted(words, 16));
}

void adamw_8bit_by_operators(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                             const at::Tensor& second, const at::Tensor& first_absmax, const at::Tensor& second_absmax,
                             const cpu::adamw_coefficients& numbers) {
  const at::NoGradGuard no_gradient;
  const at::Tensor m = decode_moment(first, first_absmax, cpu::signed_dynamic_map());
  const at::Tensor v = decode_moment(second, second_absmax, cpu::unsigned_dynamic_map());
  advance(parameter, gradient, m, v, numbers);
  encode(m, first, first_absmax, cpu::signed_dynamic_map());
  encode(v, second, second_absmax, cpu::unsigned_dynamic_map());
}

at::Tensor decode_moment(const at::Tensor& codes, const at::Tensor& absmax, const cpu::dynamic_map& map) {
  const at::Tensor values = on_device(map.values, 256, codes.device()).index_select(0, codes.to(at::kInt));
  return in_blocks(values).mul(absmax.unsqueeze(1)).view({-1}).narrow(0, 0, codes.numel()).contiguous();
}

}  // namespace coho::trainer
