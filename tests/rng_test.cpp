#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include <coho/rng.hpp>

#include "support/catch.hpp"
#include "support/chi_square.hpp"

using coho::rng;

static_assert(std::uniform_random_bit_generator<rng>);

TEST_CASE("philox gives the published numbers") {
  using block = std::array<std::uint32_t, 4>;
  CHECK(rng::philox(0, 0, 0) == block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint64_t ones = ~std::uint64_t{0};
  CHECK(rng::philox(ones, ones, ones) == block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(rng::philox(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88) ==
        block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("streams differ, and a sub-stream does not depend on how much was drawn") {
  rng a(1, 0), b(1, 1), c(2, 0);
  std::set<std::uint64_t> first{a.bits64(), b.bits64(), c.bits64()};
  CHECK(first.size() == 3);
  rng used(1, 0);
  used.uniform();
  CHECK(used.split(9).bits64() == rng(1, 0).split(9).bits64());
  CHECK(used.split(9).bits64() != used.split(10).bits64());
  CHECK(used.split(1).split(2).bits64() != used.split(2).split(1).bits64());
}

TEST_CASE("a saved generator goes on where it was") {
  for (int drawn = 0; drawn < 10; ++drawn) {
    rng random(42, 7);
    for (int i = 0; i < drawn; ++i) random();
    const auto saved = random.save();
    CHECK(saved.consumed == static_cast<std::uint64_t>(drawn));
    rng again = rng::restore(saved);
    CHECK(again.save() == saved);
    for (int i = 0; i < 9; ++i) CHECK(again() == random());
  }
}

TEST_CASE("distributions") {
  rng random(3);
  const int n = 40000;
  std::vector<std::size_t> counts(7, 0), coin(2, 0);
  double mean = 0, square = 0, lowest = 1, highest = 0;
  for (int i = 0; i < n; ++i) {
    ++counts[random.index(7)];
    ++coin[random.bernoulli(0.3) ? 1 : 0];
    const double z = random.normal();
    mean += z / n;
    square += z * z / n;
    const double u = random.uniform();
    lowest = std::min(lowest, u);
    highest = std::max(highest, u);
  }
  CHECK(coho::test::fits(counts, std::vector<double>(7, 1.0 / 7)));
  CHECK(coho::test::fits(coin, std::vector<double>{0.7, 0.3}));
  CHECK(std::abs(mean) < 0.02);
  CHECK(square == Approx(1).epsilon(0.03));
  CHECK(lowest >= 0);
  CHECK(highest < 1);
}

TEST_CASE("shuffle reaches every order alike") {
  std::vector<std::size_t> counts(6, 0);
  rng random(5);
  for (int i = 0; i < 12000; ++i) {
    std::array<int, 3> order{0, 1, 2};
    random.shuffle(order);
    CHECK(std::accumulate(order.begin(), order.end(), 0) == 3);
    ++counts[static_cast<std::size_t>(order[0] * 2 + (order[1] > order[2] ? 1 : 0))];
  }
  CHECK(coho::test::fits(counts, std::vector<double>(6, 1.0 / 6)));
}

TEST_CASE("stream_key is FNV-1a") {
  static_assert(coho::stream_key("") == 0xcbf29ce484222325);
  static_assert(coho::stream_key("a") == 0xaf63dc4c8601ec8c);
  CHECK(coho::stream_key("foobar") == 0x85944171f73967e8);
}
