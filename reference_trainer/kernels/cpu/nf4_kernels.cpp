#include "kernels/cpu/nf4_kernels.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "kernels/cpu/nf4_scalar.hpp"
#include "kernels/cpu/nf4_x86.hpp"

namespace coho::trainer::cpu {
namespace {

constexpr std::uint32_t magnitude_bits = 0x7FFFFFFF;

// An fp32 number, or the bits of a bf16 one, as fp32.
float to_float(float x) { return x; }
float to_float(std::uint16_t x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16); }

// `nf4_kernels::quantize` for any processor; bf16 elements are given as bits.
template <class Element>
void quantize_portable(const Element* x, std::int64_t n, std::int64_t block_size, std::uint8_t* codes, float* absmax) {
  for (std::int64_t begin = 0; begin < n; begin += block_size) {
    const std::int64_t count = std::min(block_size, n - begin);
    // As integers, magnitudes are ordered as they are as numbers, with NaN above all of them.
    std::uint32_t largest = 0;
    for (std::int64_t i = 0; i < count; ++i)
      largest = std::max(largest, std::bit_cast<std::uint32_t>(to_float(x[begin + i])) & magnitude_bits);
    const float scale = std::bit_cast<float>(largest);
    *absmax++ = scale;
    const float inverse = 1.0F / std::max(scale, nf4_least_divisor);
    nf4_encode_tail(x + begin, 0, count, inverse, codes + begin / 2);
  }
}

// `nf4_kernels::dequantize` for any processor: the 16 products of a block are computed once and looked up.
template <class Output>
void dequantize_portable(const std::uint8_t* codes, const float* absmax, std::int64_t n, std::int64_t block_size,
                         Output* out) {
  for (std::int64_t begin = 0; begin < n; begin += block_size) {
    const float scale = *absmax++;
    const std::int64_t count = std::min(block_size, n - begin);
    Output products[16];
    for (std::size_t i = 0; i < 16; ++i) {
      const float product = nf4_values[i] * scale;
      if constexpr (sizeof(Output) == 4) {
        products[i] = product;
      } else {
        products[i] = nf4_bf16_bits(product);
      }
    }
    for (std::int64_t i = 0; i + 2 <= count; i += 2) {
      const std::uint8_t pair = codes[(begin + i) / 2];
      out[begin + i] = products[pair >> 4];
      out[begin + i + 1] = products[pair & 15];
    }
    if (count % 2 != 0) out[begin + count - 1] = products[codes[(begin + count - 1) / 2] >> 4];
  }
}

// `nf4_kernels::matvec` for any processor: pieces of a row are decoded once for all rows of x, and summed in 16 lanes
// so that the compiler can vectorise.
void matvec_portable(const nf4_product& product) {
  const auto [x, rows, in, codes, absmax, block_size, first, last, y, y_stride] = product;
  constexpr std::int64_t lanes = 16, piece = 256;
  float weights[piece], sums[nf4_matvec_rows][lanes];
  for (std::int64_t o = first; o < last; ++o) {
    std::fill(&sums[0][0], &sums[0][0] + nf4_matvec_rows * lanes, 0.0F);
    for (std::int64_t i = 0; i < in; i += piece) {
      const std::int64_t count = std::min(piece, in - i);
      for (std::int64_t j = 0; j < count;) {
        const std::int64_t at = o * in + i, block = (at + j) / block_size;
        const std::int64_t stop = std::min(count, (block + 1) * block_size - at);
        for (; j < stop; ++j) weights[j] = nf4_values[nf4_code_at(codes, at + j)] * absmax[block];
      }
      for (std::int64_t r = 0; r < rows; ++r) {
        const float* row = x + r * in + i;
        std::int64_t j = 0;
        for (; j + lanes <= count; j += lanes) {
          for (std::int64_t lane = 0; lane < lanes; ++lane) sums[r][lane] += weights[j + lane] * row[j + lane];
        }
        for (std::int64_t lane = 0; j + lane < count; ++lane) sums[r][lane] += weights[j + lane] * row[j + lane];
      }
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t step = lanes / 2; step > 0; step /= 2) {
        for (std::int64_t j = 0; j < step; ++j) sums[r][j] += sums[r][j + step];
      }
      y[r * y_stride + o] = sums[r][0];
    }
  }
}

constexpr nf4_kernels portable{"portable",
                               quantize_portable<float>,
                               quantize_portable<std::uint16_t>,
                               dequantize_portable<float>,
                               dequantize_portable<std::uint16_t>,
                               matvec_portable};

// What this processor supports, slowest first.
struct kernel_list {
  std::array<nf4_kernels, 3> kernels{portable};
  std::size_t count = 1;

  kernel_list() {
#ifdef COHO_NF4_X86
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2) kernels[count++] = nf4_avx2_kernels;
    if (avx2 && __builtin_cpu_supports("avx512f")) kernels[count++] = nf4_avx512_kernels;
#endif
  }
};

// Asked of the processor once per program.
const kernel_list& supported_kernels() {
  static const kernel_list kernels;
  return kernels;
}

// The 256 values of an eight-bit absmax: bitsandbytes' dynamic map, in rising order.
std::array<float, 256> make_nested_map() {
  std::array<float, 256> map{};
  std::size_t count = 0;
  for (int i = 0; i < 7; ++i) {
    const int steps = 1 << i;
    // Like torch.linspace in fp32: steps are counted from the nearer end, with fused multiply-adds.
    const float step = (1.0F - 0.1F) / static_cast<float>(steps);
    const auto edge = [&](int j) {
      return 2 * j < steps ? std::fma(step, static_cast<float>(j), 0.1F)
                           : std::fma(-step, static_cast<float>(steps - j), 1.0F);
    };
    const auto power = static_cast<float>(std::pow(10.0, i - 6));
    for (int j = 0; j < steps; ++j) {
      const float value = power * ((edge(j) + edge(j + 1)) / 2.0F);
      map[count++] = value;
      map[count++] = -value;
    }
  }
  map[count++] = 0.0F;
  map[count++] = 1.0F;
  std::sort(map.begin(), map.end());
  return map;
}

}  // namespace

std::span<const nf4_kernels> available_nf4_kernels() {
  return {supported_kernels().kernels.data(), supported_kernels().count};
}
const nf4_kernels& best_nf4_kernels() { return available_nf4_kernels().back(); }

const std::array<float, 256>& nf4_nested_map() {
  static const std::array<float, 256> map = make_nested_map();
  return map;
}

void decode_nested_absmax(const std::uint8_t* codes, const float* nested_absmax, const float* map, float offset,
                          std::int64_t nested_block_size, std::int64_t first, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    // volatile, because a fused multiply-add would round once.
    const volatile float product = map[codes[first + i]] * nested_absmax[(first + i) / nested_block_size];
    out[i] = product + offset;
  }
}

void encode_nested_absmax(const float* absmax, std::int64_t count, float offset, std::int64_t nested_block_size,
                          std::uint8_t* codes, float* nested_absmax) {
  const auto& map = nf4_nested_map();
  std::array<float, 255> bounds{};
  for (std::size_t i = 0; i < bounds.size(); ++i) bounds[i] = (map[i] + map[i + 1]) / 2;
  for (std::int64_t begin = 0; begin < count; begin += nested_block_size) {
    const std::int64_t end = std::min(count, begin + nested_block_size);
    float largest = 0;
    for (std::int64_t i = begin; i < end; ++i) largest = std::max(largest, std::abs(absmax[i] - offset));
    *nested_absmax++ = largest;
    const float inverse = largest > 0 ? 1.0F / std::max(largest, nf4_least_divisor) : 0.0F;
    for (std::int64_t i = begin; i < end; ++i) {
      const float scaled = (absmax[i] - offset) * inverse;
      const auto nearest = std::lower_bound(bounds.begin(), bounds.end(), scaled) - bounds.begin();
      codes[i] = largest > 0 ? static_cast<std::uint8_t>(nearest) : std::uint8_t{0};
    }
  }
}

}  // namespace coho::trainer::cpu
