#include "kernels/cpu/nf4_kernels.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "support/catch.hpp"

using namespace coho::trainer::cpu;

namespace {

struct packed {
  std::vector<std::uint8_t> codes;
  std::vector<float> absmax;
};

packed quantize(const nf4_kernels& kernels, const std::vector<float>& x, std::int64_t block_size = 64) {
  const auto n = static_cast<std::int64_t>(x.size());
  packed out{std::vector<std::uint8_t>((x.size() + 1) / 2), std::vector<float>((n + block_size - 1) / block_size)};
  kernels.quantize(x.data(), n, block_size, out.codes.data(), out.absmax.data());
  return out;
}

unsigned code(const packed& p, std::size_t i) { return i % 2 == 0 ? p.codes[i / 2] >> 4 : p.codes[i / 2] & 15U; }

std::vector<float> normal(std::size_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> draw(0, 0.02F);
  std::vector<float> x(n);
  for (float& value : x) value = draw(generator);
  return x;
}

std::uint16_t bf16(float x) {  // to nearest, ties to even, by the distance of the two neighbours
  const auto down = std::bit_cast<std::uint32_t>(x) & 0xFFFF0000U;
  const double below = std::bit_cast<float>(down), above = std::bit_cast<float>(down + 0x10000U);
  const double to_below = std::abs(x - below), to_above = std::abs(above - x);
  const bool up = to_above < to_below || (to_above == to_below && (down >> 16) % 2 == 1);
  return static_cast<std::uint16_t>((down >> 16) + (up ? 1 : 0));
}

const std::size_t sizes[] = {1, 2, 31, 32, 63, 64, 65, 97, 128, 1000, 4096 + 17};

}  // namespace

TEST_CASE("nf4 kernels: each of the 16 values takes its own code, and the first of a pair is the high half") {
  const std::vector<float> x(nf4_values.begin(), nf4_values.end());
  for (const auto& kernels : available_nf4_kernels()) {
    INFO(kernels.name);
    const auto p = quantize(kernels, x);
    CHECK(p.absmax == std::vector<float>{1});
    CHECK(p.codes == std::vector<std::uint8_t>{0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF});
  }
}

TEST_CASE("nf4 kernels: on a bound the lower code is taken, just above it the upper one") {
  std::vector<float> x(64, 1);
  for (std::size_t i = 0; i < 15; ++i) {
    x[i] = nf4_bounds[i];
    x[i + 15] = std::nextafter(nf4_bounds[i], 2.0F);
    x[i + 30] = std::nextafter(nf4_bounds[i], -2.0F);
  }
  for (const auto& kernels : available_nf4_kernels()) {
    INFO(kernels.name);
    const auto p = quantize(kernels, x);
    for (unsigned i = 0; i < 15; ++i) {
      CHECK(code(p, i) == i);
      CHECK(code(p, i + 15) == i + 1);
      CHECK(code(p, i + 30) == i);
    }
  }
}

TEST_CASE("nf4 kernels: a block of zeros takes code 7, and so does the half byte after an odd end") {
  for (const auto& kernels : available_nf4_kernels()) {
    INFO(kernels.name);
    auto p = quantize(kernels, std::vector<float>(130, 0.0F));
    CHECK(p.absmax == std::vector<float>(3, 0.0F));
    CHECK(p.codes == std::vector<std::uint8_t>(65, 0x77));
    p = quantize(kernels, {-2, 0, 2});
    CHECK(p.absmax == std::vector<float>{2});
    CHECK(p.codes == std::vector<std::uint8_t>{0x07, 0xF7});
    p = quantize(kernels, {std::numeric_limits<float>::denorm_min(), 0});
    CHECK(p.codes == std::vector<std::uint8_t>{0x77});
  }
}

TEST_CASE("nf4 kernels: a value that is not finite shows in the absmax of its block alone") {
  const float bad[] = {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                       std::numeric_limits<float>::quiet_NaN()};
  for (const auto& kernels : available_nf4_kernels()) {
    for (const float value : bad) {
      for (const std::size_t at : {64U, 100U, 129U}) {
        auto x = normal(130, 1);
        x[at] = value;
        const auto p = quantize(kernels, x);
        for (std::size_t b = 0; b < 3; ++b) CHECK(std::isfinite(p.absmax[b]) == (b != at / 64));
      }
    }
  }
}

TEST_CASE("nf4 kernels: all instruction sets give the bits of the definition") {
  for (const std::size_t n : sizes) {
    for (const std::int64_t block_size : {32, 64, 96, 256}) {
      const auto x = normal(n, static_cast<unsigned>(n));
      for (const auto& kernels : available_nf4_kernels()) {
        INFO(kernels.name << ", " << n << " in blocks of " << block_size);
        const auto p = quantize(kernels, x, block_size);
        const auto size = static_cast<std::int64_t>(n);
        std::vector<float> out(n);
        std::vector<std::uint16_t> narrow(n);
        kernels.dequantize(p.codes.data(), p.absmax.data(), size, block_size, out.data());
        kernels.dequantize_bf16(p.codes.data(), p.absmax.data(), size, block_size, narrow.data());
        bool absmax_right = true, codes_right = true, values_right = true, narrow_right = true;
        for (std::size_t i = 0; i < n; ++i) {
          const std::size_t block = i / static_cast<std::size_t>(block_size), begin = block * block_size;
          float largest = 0;
          for (std::size_t j = begin; j < std::min(n, begin + block_size); ++j)
            largest = std::max(largest, std::abs(x[j]));
          absmax_right &= p.absmax[block] == largest;
          const float inverse = 1.0F / largest, scaled = x[i] * inverse;
          unsigned expected = 0;
          while (expected < 15 && scaled > nf4_bounds[expected]) ++expected;
          codes_right &= code(p, i) == expected;
          const float value = nf4_values[expected] * largest;
          values_right &= out[i] == value;
          narrow_right &= narrow[i] == bf16(value);
        }
        CHECK(absmax_right);
        CHECK(codes_right);
        CHECK(values_right);
        CHECK(narrow_right);
      }
    }
  }
}

TEST_CASE("nf4 kernels: bf16 weights give what the same weights in fp32 give") {
  for (const std::size_t n : sizes) {
    std::vector<std::uint16_t> narrow;
    std::vector<float> wide;
    for (const float value : normal(n, 5)) {
      narrow.push_back(bf16(value));
      wide.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(narrow.back()) << 16));
    }
    for (const auto& kernels : available_nf4_kernels()) {
      const auto expected = quantize(available_nf4_kernels().front(), wide);
      packed p{std::vector<std::uint8_t>((n + 1) / 2), std::vector<float>((n + 63) / 64)};
      kernels.quantize_bf16(narrow.data(), static_cast<std::int64_t>(n), 64, p.codes.data(), p.absmax.data());
      CHECK(p.codes == expected.codes);
      CHECK(p.absmax == expected.absmax);
    }
  }
}

TEST_CASE("nf4 kernels: products straight from the codes agree with sums in double, wherever blocks and bytes begin") {
  for (const std::int64_t in : {1, 7, 33, 64, 100, 257, 1024}) {
    const std::int64_t out = 5;
    const auto w = normal(static_cast<std::size_t>(in * out), 9);
    for (std::int64_t rows = 1; rows <= nf4_matvec_rows; ++rows) {
      const auto x = normal(static_cast<std::size_t>(rows * in), 11);
      for (const auto& kernels : available_nf4_kernels()) {
        INFO(kernels.name << ", in " << in << ", rows " << rows);
        const auto p = quantize(kernels, w);
        std::vector<float> dense(w.size()), y(static_cast<std::size_t>(rows * out), -1), parts = y;
        kernels.dequantize(p.codes.data(), p.absmax.data(), in * out, 64, dense.data());
        const auto multiply = [&](std::int64_t first, std::int64_t last, std::vector<float>& into) {
          kernels.matvec({.x = x.data(),
                          .rows = rows,
                          .in = in,
                          .codes = p.codes.data(),
                          .absmax = p.absmax.data(),
                          .block_size = 64,
                          .first = first,
                          .last = last,
                          .y = into.data(),
                          .y_stride = out});
        };
        multiply(0, out, y);
        multiply(3, 5, parts);
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t o = 0; o < out; ++o) {
            double sum = 0, magnitude = 0;
            for (std::int64_t i = 0; i < in; ++i) {
              const double term = double{dense[o * in + i]} * double{x[r * in + i]};
              sum += term;
              magnitude += std::abs(term);
            }
            CHECK(std::abs(y[r * out + o] - sum) <= 1e-6 * magnitude);
            CHECK(parts[r * out + o] == (o < 3 ? -1.0F : y[r * out + o]));
          }
        }
      }
    }
  }
}

TEST_CASE("nf4 kernels: the nested map is the signed dynamic map") {
  const auto& map = nf4_nested_map();
  CHECK(std::is_sorted(map.begin(), map.end()));
  CHECK(std::adjacent_find(map.begin(), map.end()) == map.end());
  CHECK(map[0] == -0.99296874F);
  CHECK(map[1] == -0.97890627F);
  CHECK(map[18] == -0.739843726F);  // as torch.linspace rounds the steps
  CHECK(map[127] == 0);
  CHECK(map[128] == 5.50000038e-07F);
  CHECK(map[255] == 1);
  for (std::size_t i = 0; i < 127; ++i) CHECK(map[i] == -map[254 - i]);
}

TEST_CASE("nf4 kernels: nested absmax by hand") {
  const std::vector<float> absmax{1, 3, 2, 2.5F};
  std::vector<std::uint8_t> codes(4);
  std::vector<float> nested(2), back(4);
  encode_nested_absmax(absmax.data(), 4, 2, 2, codes.data(), nested.data());
  CHECK(nested == std::vector<float>{1, 0.5F});
  CHECK(codes == std::vector<std::uint8_t>{0, 255, 127, 255});  // −1 is nearest to −0.99296874
  decode_nested_absmax(codes.data(), nested.data(), nf4_nested_map().data(), 2, 2, 1, 3, back.data());
  CHECK(back == std::vector<float>{3, 2, 2.5F, 0});
  encode_nested_absmax(absmax.data(), 1, 1, 256, codes.data(), nested.data());
  CHECK(codes[0] == 0);
  CHECK(nested[0] == 0);
}
