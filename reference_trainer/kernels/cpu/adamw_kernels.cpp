#include "kernels/cpu/adamw_kernels.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>

#include "kernels/cpu/multiversion.hpp"

namespace coho::trainer::cpu {
namespace {

// Builds the map described at `signed_dynamic_map`, its values sorted.
dynamic_map make_dynamic_map(bool has_sign) {
  dynamic_map map{};
  std::int64_t count = 0;
  map.values[count++] = 0.0f;
  map.values[count++] = 1.0f;
  for (int decade = 0; decade < 7; ++decade) {
    const int parts = (has_sign ? 1 : 2) << decade;
    for (int part = 0; part < parts; ++part) {
      const double middle = (0.1 + 0.9 * (part + 0.5) / parts) * std::pow(10.0, decade - 6);
      map.values[count++] = static_cast<float>(middle);
      if (has_sign) map.values[count++] = static_cast<float>(-middle);
    }
  }
  std::sort(std::begin(map.values), std::end(map.values));
  for (int k = 0; k < 255; ++k) {
    const double middle = 0.5 * (static_cast<double>(map.values[k]) + static_cast<double>(map.values[k + 1]));
    map.boundaries[k] = static_cast<float>(middle);
  }
  // The smallest normal number, because subnormals may be flushed to 0, and 0 must get code 0.
  if (!has_sign) map.boundaries[0] = 0x1p-126f;
  return map;
}

// The code of x in [−1, 1] without a search: cells of |x| by exponent and the first 7 bits of the significand are
// narrower than the map's gaps, so a cell determines the code except for at most one boundary. Cell 0 reaches down to
// 0.
constexpr std::int32_t cell_shift = 23 - 7, cell_offset = (127 - 23) << 7, cells = (23 << 7) + 1;

struct code_finder {
  float boundaries[256];
  std::uint8_t lowest[2][cells];  // by sign

  explicit code_finder(const dynamic_map& map) {
    std::copy(std::begin(map.boundaries), std::end(map.boundaries), boundaries);
    boundaries[255] = std::numeric_limits<float>::infinity();
    const auto code = [&](float x) {
      return static_cast<std::uint8_t>(std::upper_bound(boundaries, boundaries + 255, x) - boundaries);
    };
    for (std::int32_t cell = 0; cell < cells; ++cell) {
      const auto from = static_cast<std::uint32_t>(cell + cell_offset) << cell_shift;
      const auto last = (static_cast<std::uint32_t>(cell + 1 + cell_offset) << cell_shift) - 1;
      lowest[0][cell] = code(cell == 0 ? 0.0f : std::bit_cast<float>(from));
      lowest[1][cell] = code(-std::bit_cast<float>(last));
    }
  }
};

}  // namespace

const dynamic_map& signed_dynamic_map() {
  static const dynamic_map map = make_dynamic_map(true);
  return map;
}

// bitsandbytes' map for second moments, which are not negative.
const dynamic_map& unsigned_dynamic_map() {
  static const dynamic_map map = make_dynamic_map(false);
  return map;
}

COHO_MULTIVERSION void adamw(float* parameter, const float* gradient, float* first, float* second, std::int64_t n,
                             const adamw_coefficients& coefficients) {
  const auto [learning_rate, beta1, beta2, epsilon, decay, correction1, correction2] = coefficients;
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = gradient[i];
    const float m = beta1 * first[i] + (1.0f - beta1) * g;
    const float v = beta2 * second[i] + (1.0f - beta2) * g * g;
    first[i] = m;
    second[i] = v;
    parameter[i] -= learning_rate * (m * correction1 / (std::sqrt(v * correction2) + epsilon) + decay * parameter[i]);
  }
}

// Adds 16 random bits below bfloat16's last bit and truncates. Infinity and NaN are only truncated, otherwise the sum
// would change them.
#define COHO_ROUND_BFLOAT16(value, random, out)                                      \
  {                                                                                  \
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);                  \
    const std::uint32_t finite = (bits & 0x7f800000U) == 0x7f800000U ? 0U : 0xffffU; \
    out = static_cast<std::uint16_t>((bits + ((random)&finite)) >> 16);              \
  }

COHO_MULTIVERSION void adamw_bfloat16(float* __restrict parameter, const float* __restrict gradient,
                                      std::uint16_t* __restrict first, std::uint16_t* __restrict second, std::int64_t n,
                                      const adamw_coefficients& coefficients, std::uint32_t key, std::uint32_t start) {
  const auto [learning_rate, beta1, beta2, epsilon, decay, correction1, correction2] = coefficients;
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = gradient[i];
    const float old_m = std::bit_cast<float>(static_cast<std::uint32_t>(first[i]) << 16);
    const float old_v = std::bit_cast<float>(static_cast<std::uint32_t>(second[i]) << 16);
    const float m = beta1 * old_m + (1.0f - beta1) * g;
    const float v = beta2 * old_v + (1.0f - beta2) * g * g;
    parameter[i] -= learning_rate * (m * correction1 / (std::sqrt(v * correction2) + epsilon) + decay * parameter[i]);
    const std::uint32_t random = rounding_bits(key, start + static_cast<std::uint32_t>(i));
    COHO_ROUND_BFLOAT16(m, random, first[i])
    COHO_ROUND_BFLOAT16(v, random >> 16, second[i])
  }
}
#undef COHO_ROUND_BFLOAT16

COHO_MULTIVERSION void adamw_8bit(float* __restrict parameter, const float* __restrict gradient,
                                  std::uint8_t* __restrict first, std::uint8_t* __restrict second,
                                  float* __restrict first_absmax, float* __restrict second_absmax, std::int64_t n,
                                  const adamw_coefficients& coefficients) {
  const auto [learning_rate, beta1, beta2, epsilon, decay, correction1, correction2] = coefficients;
  const float* const m_values = signed_dynamic_map().values;
  const float* const v_values = unsigned_dynamic_map().values;
  static const code_finder finders[2] = {code_finder(signed_dynamic_map()), code_finder(unsigned_dynamic_map())};
  for (std::int64_t block = 0; block * moment_block < n; ++block) {
    const std::int64_t begin = block * moment_block, width = std::min(moment_block, n - begin);
    float* __restrict const p = parameter + begin;
    const float* __restrict const g = gradient + begin;
    std::uint8_t* const codes[2] = {first + begin, second + begin};
    float* const absmax[2] = {first_absmax + block, second_absmax + block};
    alignas(64) float moments[2][moment_block] = {};
    alignas(64) std::int32_t cell[moment_block];
    const float m_scale = *absmax[0], v_scale = *absmax[1];
    for (std::int64_t i = 0; i < width; ++i) {
      const float m = beta1 * (m_values[codes[0][i]] * m_scale) + (1.0f - beta1) * g[i];
      const float v = beta2 * (v_values[codes[1][i]] * v_scale) + (1.0f - beta2) * g[i] * g[i];
      moments[0][i] = m;
      moments[1][i] = v;
      p[i] -= learning_rate * (m * correction1 / (std::sqrt(v * correction2) + epsilon) + decay * p[i]);
    }
    for (int which = 0; which < 2; ++which) {
      float* const x = moments[which];
      const code_finder& finder = finders[which];
      constexpr std::int64_t lanes = 16;
      float lane[lanes] = {};
      for (std::int64_t i = 0; i < moment_block; i += lanes)
        for (std::int64_t j = 0; j < lanes; ++j) lane[j] = std::max(lane[j], std::fabs(x[i + j]));
      float largest = 0;
      for (const float l : lane) largest = std::max(largest, l);
      *absmax[which] = largest;
      const float divisor = largest > 0 ? largest : 1.0f;
      for (std::int64_t i = 0; i < moment_block; ++i) {
        x[i] /= divisor;
        const auto bits = static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffU);
        // NaN and infinity must not index outside the table.
        cell[i] = std::min(std::max((bits >> cell_shift) - cell_offset, 0), cells - 1);
      }
      for (std::int64_t i = 0; i < width; ++i) {
        const std::uint8_t code = finder.lowest[x[i] < 0][cell[i]];
        codes[which][i] = static_cast<std::uint8_t>(code + (x[i] >= finder.boundaries[code]));
      }
    }
  }
}

}  // namespace coho::trainer::cpu
