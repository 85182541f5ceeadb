#include "support/cuda_emulation.hpp"  // before the kernels, whose language it is

#include "kernels/cuda/device_functions.hpp"

#include <vector>

#include "support/catch.hpp"

namespace cuda = coho::trainer::cuda;
using cuda::emulation::run_order;

namespace {

// A kernel on one block of 64 threads: what thread t leaves in its slot.
std::vector<int> leave(run_order order, bool barrier, int distance) {
  std::vector<int> shared(64, -1), out(64);
  cuda::emulation::order = order;
  cuda::emulation::run(1, 64, [&] {
    const int mine = static_cast<int>(cuda::threadIdx.x);
    shared[static_cast<std::size_t>(mine)] = mine;
    if (barrier) cuda::__syncthreads();
    out[static_cast<std::size_t>(mine)] = shared[static_cast<std::size_t>((mine + distance + 64) % 64)];
  });
  cuda::emulation::order = run_order::forward;
  return out;
}

}  // namespace

TEST_CASE("Emulated barriers let every thread see what the others wrote, in either order of threads") {
  for (const auto order : {run_order::forward, run_order::backward}) {
    for (const int distance : {1, -1, 32}) {
      const auto out = leave(order, true, distance);
      for (int t = 0; t < 64; ++t) CHECK(out[static_cast<std::size_t>(t)] == (t + distance + 64) % 64);
    }
  }
}

TEST_CASE("A missing barrier shows in one order of the emulated threads or the other") {
  CHECK(leave(run_order::forward, false, 1)[0] == -1);
  CHECK(leave(run_order::backward, false, -1)[63] == -1);
}

TEST_CASE("An emulated barrier that some threads never reach is an error and not a hang") {
  CHECK_THROWS_AS(cuda::emulation::run(1, 64,
                                       [] {
                                         if (cuda::threadIdx.x != 7) cuda::__syncthreads();
                                       }),
                  std::logic_error);
  CHECK_THROWS_AS(cuda::emulation::run(1, 32,
                                       [] {
                                         if (cuda::threadIdx.x < 16) cuda::warp_sum(1.0f);
                                       }),
                  std::logic_error);
}

TEST_CASE("Reductions of the kernels give every thread the same sum and maximum") {
  std::vector<float> sums(128), most(128), warp_sums(128);
  cuda::emulation::run(1, 128, [&] {
    static float slots[4], other_slots[4];
    const auto t = cuda::threadIdx.x;
    warp_sums[t] = cuda::warp_sum(static_cast<float>(t));
    sums[t] = cuda::block_sum(static_cast<float>(t), slots);
    most[t] = cuda::block_max(t == 77 ? 5.0f : -1.0f, other_slots);
  });
  for (std::size_t t = 0; t < 128; ++t) {
    CHECK(sums[t] == 128 * 127 / 2);
    CHECK(most[t] == 5.0f);
    CHECK(warp_sums[t] == static_cast<float>(32 * (t / 32) * 32 + 31 * 16));
  }
}

TEST_CASE("Two numbers are packed as bf16 rounded to nearest even, the first in the lower half") {
  const auto packed = [](float a, float b) { return cuda::pack_bf16(a, b); };
  CHECK(packed(1.0f, -2.0f) == 0xc0003f80u);
  CHECK(packed(1.00390625f, 1.01171875f) == 0x3f823f80u);  // 1 + 2⁻⁸ and 1 + 3·2⁻⁸: ties, to the even neighbour
  CHECK(packed(1.00390637f, 3.4e38f) == 0x7f803f81u);      // just above the tie; overflow to infinity
  CHECK(packed(std::nanf(""), 0.0f) == 0x7fffu);
}

TEST_CASE("The emulated byte permutation takes the bytes that its selector names") {
  CHECK(cuda::__byte_perm(0x44332211u, 0x88776655u, 0x7140u) == 0x88225511u);
  CHECK(cuda::__byte_perm(0x44332211u, 0u, 0x4442u) == 0x33u);
}
