#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <string_view>
#include <utility>

namespace coho::inline v0_1 {

/// Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
///
/// A generator is (seed, stream, counter). Two generators with different streams are independent, so that giving each
/// sequence, prompt or record its own stream makes results independent of batch shape, thread and process count.
/// Satisfies std::uniform_random_bit_generator. The distributions below are written out because those of the standard
/// library differ between implementations.
///
///     coho::rng random{seed, sequence_index};
///     double u = random.uniform();
class rng {
 public:
  using result_type = std::uint32_t;

  constexpr explicit rng(std::uint64_t seed = 0, std::uint64_t stream = 0) noexcept : seed_(seed), stream_(stream) {}

  static constexpr result_type min() noexcept { return 0; }
  static constexpr result_type max() noexcept { return std::numeric_limits<result_type>::max(); }

  /// The next 32 bits; every fourth call computes a block.
  constexpr result_type operator()() noexcept {
    if (used_ == 4) {
      block_ = philox(seed_, stream_, counter_++);
      used_ = 0;
    }
    return block_[used_++];
  }

  /// A generator for a sub-task, independent of this one and of how much of it was consumed.
  constexpr rng split(std::uint64_t key) const noexcept {
    const auto mixed = philox(seed_ ^ 0x9E3779B97F4A7C15ull, stream_, key);
    return rng((std::uint64_t{mixed[0]} << 32) | mixed[1], (std::uint64_t{mixed[2]} << 32) | mixed[3]);
  }

  /// Two draws: the first is the high half.
  constexpr std::uint64_t bits64() noexcept {
    const std::uint64_t high = (*this)();
    return (high << 32) | (*this)();
  }

  /// Uniform on [0, 1) with 53 bits.
  constexpr double uniform() noexcept { return static_cast<double>(bits64() >> 11) * 0x1.0p-53; }

  /// Uniform on {0, …, n − 1} without bias (rejection). n > 0.
  constexpr std::uint64_t index(std::uint64_t n) noexcept {
    const std::uint64_t limit =
        std::numeric_limits<std::uint64_t>::max() - std::numeric_limits<std::uint64_t>::max() % n;
    std::uint64_t x = bits64();
    while (x >= limit) x = bits64();
    return x % n;
  }

  /// True with probability p; draws 64 bits whatever p is.
  constexpr bool bernoulli(double p) noexcept { return uniform() < p; }

  /// Standard normal (Box–Muller; one of each pair is dropped so that the state is only the counter).
  double normal() noexcept {
    const double u = 1.0 - uniform();
    const double v = uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
  }

  /// Fisher–Yates.
  template <class RandomAccessRange>
  void shuffle(RandomAccessRange& range) noexcept {
    using std::swap;
    for (std::size_t i = std::size(range); i > 1; --i) swap(range[i - 1], range[index(i)]);
  }

  /// State for checkpoints: (seed, stream, numbers consumed).
  struct state {
    std::uint64_t seed, stream, consumed;
    friend bool operator==(const state&, const state&) = default;
  };
  constexpr state save() const noexcept { return {seed_, stream_, counter_ * 4 - (4 - used_)}; }
  /// The generator that `save` was called on: its next number is the one that would have come.
  static constexpr rng restore(const state& saved) noexcept {
    rng out(saved.seed, saved.stream);
    out.counter_ = saved.consumed / 4;
    if (const auto within = static_cast<unsigned>(saved.consumed % 4); within != 0) {
      out.block_ = philox(out.seed_, out.stream_, out.counter_++);
      out.used_ = within;
    }
    return out;
  }

  /// The raw block function, for tests against published vectors.
  static constexpr std::array<std::uint32_t, 4> philox(std::uint64_t key, std::uint64_t high,
                                                       std::uint64_t low) noexcept {
    std::array<std::uint32_t, 4> c{static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(low >> 32),
                                   static_cast<std::uint32_t>(high), static_cast<std::uint32_t>(high >> 32)};
    std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0], p1 = std::uint64_t{0xCD9E8D57u} * c[2];
      c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
           static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return c;
  }

 private:
  std::uint64_t seed_, stream_, counter_ = 0;
  std::array<std::uint32_t, 4> block_{};
  unsigned used_ = 4;
};

/// 64-bit FNV-1a of a name: stable stream keys from text.
constexpr std::uint64_t stream_key(std::string_view text) noexcept {
  std::uint64_t hash = 0xCBF29CE484222325ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return hash;
}

}  // namespace coho::inline v0_1
