#include "adapters/dropout.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include <ATen/Parallel.h>

#include <coho/error.hpp>

namespace coho::trainer {
namespace {

constexpr std::int64_t low_word = 0xFFFFFFFF;

// The high 32 bits of 64-bit products; the mask removes the sign bits of the arithmetic shift.
at::Tensor high_word(const at::Tensor& product) { return at::bitwise_right_shift(product, 32).bitwise_and_(low_word); }

// rng::philox for n blocks from `first` on: four words, each int64 [n]. Products of two 32-bit words overflow int64,
// whose operators wrap.
std::array<at::Tensor, 4> philox_words(const rng::state& state, std::int64_t first, std::int64_t n, at::Device device) {
  const auto integers = at::TensorOptions().dtype(at::kLong).device(device);
  at::Tensor a = at::arange(first, first + n, integers), b = at::bitwise_right_shift(a, 32);
  a.bitwise_and_(low_word);
  at::Tensor c = at::full({n}, static_cast<std::int64_t>(state.stream & low_word), integers);
  at::Tensor d = at::full({n}, static_cast<std::int64_t>(state.stream >> 32), integers);
  auto key0 = static_cast<std::uint32_t>(state.seed), key1 = static_cast<std::uint32_t>(state.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    a.mul_(std::int64_t{0xD2511F53});
    c.mul_(std::int64_t{0xCD9E8D57});
    b.bitwise_xor_(high_word(c)).bitwise_xor_(std::int64_t{key0});
    d.bitwise_xor_(high_word(a)).bitwise_xor_(std::int64_t{key1});
    a.bitwise_and_(low_word);
    c.bitwise_and_(low_word);
    // (a, b, c, d) ← (b, low of c, d, low of a).
    std::swap(a, b);
    std::swap(b, c);
    std::swap(c, d);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return {a, b, c, d};
}

// Random 32-bit words below it drop their element.
std::uint64_t drop_threshold(double probability) { return static_cast<std::uint64_t>(probability * 4294967296.0); }

// The factor of kept elements; in fp32, so that it is the same for both implementations.
float kept_scale(double probability) { return static_cast<float>(1.0 / (1.0 - probability)); }

// What both implementations require.
void check_dropout_arguments(const at::Tensor& x, double probability) {
  require_argument(x.is_floating_point() && x.is_contiguous(),
                   "drop_elements: x must be contiguous and of a floating type");
  require_option(probability >= 0 && probability < 1, "dropout", probability, "in [0, 1)");
}

}  // namespace

void drop_elements(const at::Tensor& x, double probability, rng random) {
  if (!x.device().is_cpu()) return drop_elements_by_operators(x, probability, random);
  check_dropout_arguments(x, probability);
  const std::uint64_t threshold = drop_threshold(probability);
  const float keep = kept_scale(probability);
  const rng::state state = random.save();
  const std::int64_t count = x.numel();
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "drop_elements", [&] {
    scalar_t* const data = x.data_ptr<scalar_t>();
    const auto factor = static_cast<scalar_t>(keep);
    at::parallel_for(0, (count + 3) / 4, 1 << 12, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t block = begin; block < end; ++block) {
        const auto numbers = rng::philox(state.seed, state.stream, static_cast<std::uint64_t>(block));
        for (std::int64_t k = 0; k < 4 && 4 * block + k < count; ++k)
          data[4 * block + k] *= numbers[static_cast<std::size_t>(k)] < threshold ? scalar_t(0) : factor;
      }
    });
  });
}

void drop_elements_by_operators(const at::Tensor& x, double probability, rng random, std::int64_t piece) {
  check_dropout_arguments(x, probability);
  require_argument(piece > 0, "drop_elements_by_operators: a piece is at least one block");
  const auto threshold = static_cast<std::int64_t>(drop_threshold(probability));
  const rng::state state = random.save();
  const at::Tensor flat = x.view({-1});
  for (std::int64_t begin = 0; begin < flat.numel(); begin += 4 * piece) {
    const std::int64_t count = std::min(4 * piece, flat.numel() - begin), n = (count + 3) / 4;
    const auto words = philox_words(state, begin / 4, n, x.device());
    const at::Tensor factors = at::empty({n, 4}, x.options());
    for (std::int64_t k = 0; k < 4; ++k) factors.select(1, k).copy_(words[static_cast<std::size_t>(k)].ge(threshold));
    factors.mul_(static_cast<double>(kept_scale(probability)));
    flat.narrow(0, begin, count).mul_(factors.view({-1}).narrow(0, 0, count));
  }
}

}  // namespace coho::trainer
