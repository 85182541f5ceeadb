#include "kernels/cpu/adamw_kernels.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <vector>

#include <coho/rng.hpp>

#include "support/catch.hpp"

using namespace coho::trainer;

namespace {

constexpr cpu::adamw_coefficients plain{0.01f, 0.9f, 0.999f, 1e-8f, 0.0f, 1.0f, 1.0f};

float widened(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
std::uint16_t cut(float value) { return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16); }

std::vector<float> normals(std::size_t n, std::uint64_t seed) {
  coho::rng random{seed};
  std::vector<float> out(n);
  for (float& x : out) x = static_cast<float>(random.normal());
  return out;
}

}  // namespace

TEST_CASE("adamw kernels: the dynamic maps are sorted and have the numbers of the paper") {
  const auto& m = cpu::signed_dynamic_map();
  const auto& v = cpu::unsigned_dynamic_map();
  for (int k = 0; k < 255; ++k) {
    CHECK(m.values[k] < m.values[k + 1]);
    CHECK(v.values[k] < v.values[k + 1]);
    CHECK((m.boundaries[k] > m.values[k] && m.boundaries[k] <= m.values[k + 1]));
    CHECK((v.boundaries[k] > v.values[k] && v.boundaries[k] <= v.values[k + 1]));
  }
  // The numbers with which bitsandbytes' signed map begins.
  CHECK(m.values[0] == -0.99296874f);
  CHECK(m.values[1] == -0.97890627f);
  CHECK(m.values[127] == 0.0f);
  // One part of [0.1, 1] in the lowest decade, its middle 0.55 millionths.
  CHECK(m.values[128] == Approx(0.55e-6));
  CHECK(m.values[126] == Approx(-0.55e-6));
  CHECK(m.values[255] == 1.0f);
  CHECK(v.values[0] == 0.0f);
  CHECK(v.values[1] == Approx(0.325e-6));
  CHECK(v.values[2] == Approx(0.775e-6));
  CHECK(v.values[254] == Approx(1 - 0.9 / 256));
  CHECK(v.values[255] == 1.0f);
}

TEST_CASE("adamw kernels: the rounding bits are those of MurmurHash3's finaliser, all different") {
  CHECK(cpu::rounding_bits(0, 0) == 0);
  CHECK(cpu::rounding_bits(0, 1) == 0x514e28b7U);
  CHECK(cpu::rounding_bits(1, 0) == 0x514e28b7U);
  std::set<std::uint32_t> seen;
  for (std::uint32_t i = 0; i < 10000; ++i) seen.insert(cpu::rounding_bits(77, i));
  CHECK(seen.size() == 10000);
}

TEST_CASE("adamw kernels: bfloat16 moments are neighbours of the fp32 ones, in their mean equal to them") {
  constexpr std::int64_t n = 40000;
  // One number for all elements: m = 0.1 g = 0.37…, v = 0.001 g² = 0.0137…, neither a bfloat16.
  const float g = 3.7037f, m = (1.0f - 0.9f) * g, v = (1.0f - 0.999f) * g * g;
  std::vector<float> p(n, 0.0f);
  const std::vector<float> gradient(n, g);
  std::vector<std::uint16_t> first(n, 0), second(n, 0);
  cpu::adamw_bfloat16(p.data(), gradient.data(), first.data(), second.data(), n, plain, 5, 0);
  const auto check = [&](const std::vector<std::uint16_t>& stored, float exact) {
    const std::uint16_t below = cut(exact);
    const double gap = widened(static_cast<std::uint16_t>(below + 1)) - widened(below);
    const double share = (exact - widened(below)) / gap;
    std::int64_t up = 0;
    for (const auto s : stored) {
      REQUIRE((s == below || s == below + 1));
      up += s != below;
    }
    // Five standard deviations of a share of n.
    CHECK(static_cast<double>(up) / n == Approx(share).margin(5 * std::sqrt(share * (1 - share) / n)));
    CHECK((share > 0.05 && share < 0.95));
  };
  check(first, m);
  check(second, v);
  // The parameter moved by the numbers before rounding.
  CHECK(p[0] == Approx(-0.01 * m / (std::sqrt(static_cast<double>(v)) + 1e-8)));
  CHECK(std::ranges::all_of(p, [&](float x) { return x == p[0]; }));
}

TEST_CASE("adamw kernels: bfloat16 rounding leaves what is exact and what is not finite") {
  const float infinity = std::numeric_limits<float>::infinity();
  // With β1 = β2 = 0 the moments are g and g².
  const cpu::adamw_coefficients direct{0.0f, 0.0f, 0.0f, 1e-8f, 0.0f, 1.0f, 1.0f};
  const std::vector<float> gradient{0.0f, 1.5f, -0.25f, 1e30f, infinity, -infinity, std::nanf("")};
  std::vector<float> p(gradient.size(), 1.0f);
  std::vector<std::uint16_t> first(gradient.size()), second(gradient.size());
  for (std::uint32_t key = 0; key < 50; ++key) {
    std::ranges::fill(first, std::uint16_t{0}), std::ranges::fill(second, std::uint16_t{0});
    cpu::adamw_bfloat16(p.data(), gradient.data(), first.data(), second.data(), 7, direct, key, 0);
    for (std::size_t i = 0; i < 3; ++i) CHECK(widened(first[i]) == gradient[i]);
    for (std::size_t i = 0; i < 3; ++i) CHECK(widened(second[i]) == gradient[i] * gradient[i]);
    CHECK(widened(second[3]) == infinity);
    CHECK(widened(first[4]) == infinity);
    CHECK(widened(first[5]) == -infinity);
    CHECK(std::isnan(widened(first[6])));
  }
}

TEST_CASE("adamw kernels: pieces of a bfloat16 step equal the whole") {
  constexpr std::int64_t n = 1000, split = 333;
  const auto gradient = normals(n, 1);
  std::vector<float> p(n, 0.0f), q = p;
  std::vector<std::uint16_t> m(n, 0), v(n, 0), a = m, b = v;
  for (std::uint32_t key = 1; key < 4; ++key) {
    cpu::adamw_bfloat16(p.data(), gradient.data(), m.data(), v.data(), n, plain, key, 0);
    cpu::adamw_bfloat16(q.data(), gradient.data(), a.data(), b.data(), split, plain, key, 0);
    cpu::adamw_bfloat16(q.data() + split, gradient.data() + split, a.data() + split, b.data() + split, n - split, plain,
                        key, split);
  }
  CHECK(p == q);
  CHECK((m == a && v == b));
}

TEST_CASE("adamw kernels: 8-bit moments are the nearest numbers of the map, and 0 is kept for 0") {
  constexpr std::int64_t n = 2 * cpu::moment_block + 37;  // the last block is short
  // With β1 = β2 = 0 the moments are g and g².
  const cpu::adamw_coefficients direct{0.0f, 0.0f, 0.0f, 1e-8f, 0.0f, 1.0f, 1.0f};
  auto gradient = normals(n, 2);
  for (std::int64_t i = 0; i < n; ++i) gradient[i] *= static_cast<float>(std::pow(10.0, -static_cast<double>(i % 8)));
  for (std::int64_t i = cpu::moment_block; i < 2 * cpu::moment_block; ++i) gradient[i] = 0;  // a block of zeros
  std::vector<float> p(n, 0.0f), first_absmax(3), second_absmax(3);
  std::vector<std::uint8_t> first(n), second(n);
  cpu::adamw_8bit(p.data(), gradient.data(), first.data(), second.data(), first_absmax.data(), second_absmax.data(), n,
                  direct);
  const auto nearest = [](const cpu::dynamic_map& map, float x) {
    return std::ranges::min(map.values, {}, [x](float value) { return std::abs(value - x); });
  };
  for (std::int64_t block = 0; block < 3; ++block) {
    const std::int64_t begin = block * cpu::moment_block, end = std::min(n, begin + cpu::moment_block);
    float largest = 0;
    for (std::int64_t i = begin; i < end; ++i) largest = std::max(largest, std::abs(gradient[i]));
    CHECK(first_absmax[block] == largest);
    CHECK(second_absmax[block] == largest * largest);
    for (std::int64_t i = begin; i < end; ++i) {
      const float m = cpu::signed_dynamic_map().values[first[i]], v = cpu::unsigned_dynamic_map().values[second[i]];
      if (gradient[i] == 0) {
        CHECK((m == 0 && v == 0));
        continue;
      }
      CHECK(m == nearest(cpu::signed_dynamic_map(), gradient[i] / largest));
      const float x = gradient[i] * gradient[i] / (largest * largest);
      CHECK(v == std::max(nearest(cpu::unsigned_dynamic_map(), x), cpu::unsigned_dynamic_map().values[1]));
    }
  }
}

TEST_CASE("adamw kernels: an 8-bit second moment far below its block's largest does not blow up the next step") {
  std::vector<float> gradient(cpu::moment_block, 1e-4f), p(cpu::moment_block, 0.0f), a(1), b(1);
  gradient[0] = 1.0f;  // g² of the rest is 1e-8 of its: below half of the map's smallest number
  std::vector<std::uint8_t> first(cpu::moment_block, 127), second(cpu::moment_block, 0);
  cpu::adamw_8bit(p.data(), gradient.data(), first.data(), second.data(), a.data(), b.data(), cpu::moment_block, plain);
  CHECK(second[1] == 1);
  const std::vector<float> before = p;
  std::ranges::fill(gradient, 0.0f);
  cpu::adamw_8bit(p.data(), gradient.data(), first.data(), second.data(), a.data(), b.data(), cpu::moment_block, plain);
  CHECK(std::abs(p[1] - before[1]) < 0.1);
}
