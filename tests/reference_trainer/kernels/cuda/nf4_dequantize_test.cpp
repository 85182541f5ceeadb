// The kernel itself, run by the host's emulation of CUDA.

#include "support/cuda_emulation.hpp"  // before the kernels, whose language it is

#include "kernels/cuda/nf4_dequantize.cu"

#include <cstring>
#include <vector>

#include "support/catch.hpp"
#include "support/nf4_bytes.hpp"

using coho::test::nearest_bf16;
using coho::test::nf4_bytes;
namespace cuda = coho::trainer::cuda;
using cuda::emulation::run_order;

namespace {

coho_cuda_nf4 view(const nf4_bytes& w, const std::uint8_t* codes) {
  return {codes,
          w.nested ? static_cast<const void*>(w.absmax_indices.data()) : w.absmax.data(),
          w.nested ? w.nested_map.data() : nullptr,
          w.nested ? w.nested_absmax.data() : nullptr,
          w.nested_offset,
          w.n,
          w.block_size,
          w.nested_block_size};
}

// Bits of what is written for each element; `skip`: how many elements and bytes of codes lie before, to spoil
// alignment.
template <typename Bits>
std::vector<Bits> written(const nf4_bytes& w, std::size_t skip, std::uint64_t* blocks = nullptr) {
  const auto count = static_cast<std::size_t>(w.n);
  constexpr Bits untouched = 0x5a5a;
  std::vector<Bits> out(skip + count + 16, untouched);
  std::vector<std::uint8_t> codes(skip);
  codes.insert(codes.end(), w.codes.begin(), w.codes.end());
  const coho_cuda_nf4 weight = view(w, codes.data() + skip);
  const int type = sizeof(Bits) == 2 ? coho_cuda_bfloat16 : coho_cuda_float32;
  const std::uint64_t before = cuda::emulation::blocks_run;
  REQUIRE(coho_cuda_nf4_dequantize(&weight, out.data() + skip, type, nullptr) == 0);
  if (blocks != nullptr) *blocks = cuda::emulation::blocks_run - before;
  for (std::size_t i = 0; i < skip; ++i) REQUIRE(out[i] == untouched);
  for (std::size_t i = skip + count; i < out.size(); ++i) REQUIRE(out[i] == untouched);
  return {out.begin() + static_cast<std::ptrdiff_t>(skip), out.begin() + static_cast<std::ptrdiff_t>(skip + count)};
}

void check(const nf4_bytes& w, std::size_t skip) {
  const auto halves = written<std::uint16_t>(w, skip);
  const auto wholes = written<std::uint32_t>(w, skip);
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < w.n; ++i) {
    const float expected = w.value(i);
    wrong += halves[static_cast<std::size_t>(i)] != nearest_bf16(expected);
    wrong += std::memcmp(&wholes[static_cast<std::size_t>(i)], &expected, 4) != 0;
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("The CUDA source of NF4 dequantisation gives every element bit for bit at odd sizes and small blocks") {
  unsigned seed = 1;
  for (const auto order : {run_order::forward, run_order::backward}) {
    cuda::emulation::order = order;
    for (const std::int64_t n : {1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 65, 257, 1001}) {
      for (const std::int64_t block : {2, 4, 8, 32, 64, 128, 4096}) {
        for (const bool nested : {false, true}) {
          INFO("n " << n << ", block " << block << ", nested " << nested);
          check(nf4_bytes(n, block, nested, seed++), 0);
        }
      }
    }
  }
  cuda::emulation::order = run_order::forward;
}

TEST_CASE("The CUDA source of NF4 dequantisation spans blocks of threads and more than one nested block") {
  check(nf4_bytes(20011, 64, true, 5), 0);
  check(nf4_bytes(20011, 8, true, 6), 0);    // 2502 scales in ten nested blocks
  check(nf4_bytes(16384, 64, false, 7), 0);  // a multiple of what a block of threads takes
  check(nf4_bytes(1000, 2, true, 8), 0);     // 500 scales
}

TEST_CASE("The CUDA source of NF4 dequantisation takes any alignment of codes and output") {
  for (const std::size_t skip : {1, 2, 3, 4, 8}) {
    INFO("skip " << skip);
    check(nf4_bytes(601, 64, true, 9), skip);
    check(nf4_bytes(600, 32, false, 10), skip);
  }
}

TEST_CASE("NF4 dequantisation reads and writes vectors only where alignment and block size allow it") {
  std::uint64_t blocks = 0;
  written<std::uint16_t>(nf4_bytes(16384, 64, false, 1), 0, &blocks);
  CHECK(blocks == 2);  // 256 threads · 4 vectors · 8 elements
  written<std::uint32_t>(nf4_bytes(16384, 64, false, 1), 0, &blocks);
  CHECK(blocks == 4);
  written<std::uint16_t>(nf4_bytes(1024, 4, false, 1), 0, &blocks);
  CHECK(blocks == 4);  // an element a thread
  written<std::uint16_t>(nf4_bytes(1024, 64, false, 1), 1, &blocks);
  CHECK(blocks == 4);
}

TEST_CASE("NF4 dequantisation refuses what is not a weight and launches nothing") {
  const nf4_bytes bytes(100, 64, true, 3);
  std::vector<float> out(100);
  const std::uint64_t before = cuda::emulation::blocks_run;
  const auto refused = [&](auto change) {
    coho_cuda_nf4 weight = view(bytes, bytes.codes.data());
    change(weight);
    return coho_cuda_nf4_dequantize(&weight, out.data(), coho_cuda_float32, nullptr) == cuda::cudaErrorInvalidValue;
  };
  CHECK(refused([](auto& w) { w.codes = nullptr; }));
  CHECK(refused([](auto& w) { w.absmax = nullptr; }));
  CHECK(refused([](auto& w) { w.nested_absmax = nullptr; }));
  CHECK(refused([](auto& w) { w.n = 0; }));
  for (const std::int64_t size : {-64, 0, 1, 3, 96}) {
    CHECK(refused([=](auto& w) { w.block_size = size; }));
    CHECK(refused([=](auto& w) { w.nested_block_size = size; }));
  }
  coho_cuda_nf4 weight = view(bytes, bytes.codes.data());
  CHECK(coho_cuda_nf4_dequantize(nullptr, out.data(), coho_cuda_float32, nullptr) != 0);
  CHECK(coho_cuda_nf4_dequantize(&weight, nullptr, coho_cuda_float32, nullptr) != 0);
  CHECK(coho_cuda_nf4_dequantize(&weight, out.data(), 2, nullptr) != 0);
  CHECK(coho_cuda_nf4_dequantize(&weight, reinterpret_cast<char*>(out.data()) + 2, coho_cuda_float32, nullptr) != 0);
  CHECK(cuda::emulation::blocks_run == before);
}
