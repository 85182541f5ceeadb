// The kernel itself, run by the host's emulation of CUDA.

#include "support/cuda_emulation.hpp"  // before the kernels, whose language it is

#include "kernels/cuda/nf4_matvec.cu"

#include <cmath>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"
#include "support/nf4_bytes.hpp"

using coho::test::from_bf16;
using coho::test::nearest_bf16;
using coho::test::nf4_bytes;
namespace cuda = coho::trainer::cuda;
using cuda::emulation::run_order;

namespace {

float number(float x) { return x; }
float number(std::uint16_t x) { return from_bf16(x); }

template <typename X>
struct product {
  std::int64_t batch, in, rows;
  nf4_bytes weight;
  std::vector<X> x, y;
  std::uint64_t blocks = 0;

  product(std::int64_t batch_size, std::int64_t width, std::int64_t height, std::int64_t block, bool nested,
          unsigned seed)
      : batch(batch_size), in(width), rows(height), weight(width * height, block, nested, seed) {
    std::mt19937 random(seed + 1);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < batch * in; ++i) {
      if constexpr (std::is_same_v<X, float>)
        x.push_back(normal(random));
      else
        x.push_back(nearest_bf16(normal(random)));
    }
  }

  // `skip`: how many elements lie before x, to spoil its alignment.
  void run(std::size_t skip = 0) {
    const auto& w = weight;
    const coho_cuda_nf4 view = {w.codes.data(),
                                w.nested ? static_cast<const void*>(w.absmax_indices.data()) : w.absmax.data(),
                                w.nested ? w.nested_map.data() : nullptr,
                                w.nested ? w.nested_absmax.data() : nullptr,
                                w.nested_offset,
                                w.n,
                                w.block_size,
                                w.nested_block_size};
    std::vector<X> moved(skip);
    moved.insert(moved.end(), x.begin(), x.end());
    constexpr X untouched = 77;
    std::vector<X> out(static_cast<std::size_t>(batch * rows) + 8, untouched);
    const int type = std::is_same_v<X, float> ? coho_cuda_float32 : coho_cuda_bfloat16;
    const std::uint64_t before = cuda::emulation::blocks_run;
    REQUIRE(coho_cuda_nf4_matvec(&view, moved.data() + skip, batch, in, rows, out.data(), type, nullptr) == 0);
    blocks = cuda::emulation::blocks_run - before;
    for (std::size_t i = out.size() - 8; i < out.size(); ++i) REQUIRE(out[i] == untouched);
    y.assign(out.begin(), out.end() - 8);
  }

  // How many results are further from the sum in double than rounding explains.
  int wrong() const {
    int count = 0;
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t r = 0; r < rows; ++r) {
        double sum = 0, size = 0;
        for (std::int64_t k = 0; k < in; ++k) {
          const double term =
              static_cast<double>(weight.value(r * in + k)) * number(x[static_cast<std::size_t>(b * in + k)]);
          sum += term;
          size += std::abs(term);
        }
        const double rounding = std::is_same_v<X, float> ? 0.0 : std::abs(sum) / 256;
        const double error = std::abs(number(y[static_cast<std::size_t>(b * rows + r)]) - sum);
        count += !(error <= 2e-6 * size + rounding + 1e-30);
      }
    }
    return count;
  }
};

}  // namespace

TEMPLATE_TEST_CASE("The CUDA source of the NF4 matrix-vector product agrees with a sum in double for each batch size",
                   "", float, std::uint16_t) {
  unsigned seed = 1;
  for (std::int64_t batch = 1; batch <= 8; ++batch) {
    for (const std::int64_t in : {8, 63, 64, 72, 1000, 1025, 1032}) {
      INFO("batch " << batch << ", in " << in);
      product<TestType> p(batch, in, 5, 64, in % 2 == 0, seed++);
      p.run();
      CHECK(p.wrong() == 0);
    }
  }
}

TEMPLATE_TEST_CASE(
    "The CUDA source of the NF4 matrix-vector product handles every number of rows, width and block size", "", float,
    std::uint16_t) {
  unsigned seed = 1000;
  for (const std::int64_t block : {2, 8, 32, 64, 128, 1024, 65536}) {
    for (const std::int64_t in : {1, 2, 3, 7, 24, 65, 128, 136, 200}) {
      for (const std::int64_t rows : {1, 2, 3, 4, 7}) {
        INFO("block " << block << ", in " << in << ", rows " << rows);
        product<TestType> p(1 + (rows + in) % 3, in, rows, block, rows % 2 == 0, seed++);
        p.run();
        CHECK(p.wrong() == 0);
      }
    }
  }
}

TEST_CASE("The CUDA source of the NF4 matrix-vector product gives a warp more than one step of a wide row") {
  for (const std::int64_t in : {4096, 4104, 11008, 5001}) {
    INFO("in " << in);
    product<float> p(2, in, 5, 64, true, static_cast<unsigned>(in));
    p.run();
    CHECK(p.wrong() == 0);
  }
}

TEST_CASE("The NF4 matrix-vector product has the same bits in either order of threads") {
  for (const std::int64_t in : {1032, 1025}) {
    product<float> p(3, in, 5, 64, true, 4);
    p.run();
    const auto first = p.y;
    cuda::emulation::order = run_order::backward;
    p.run();
    cuda::emulation::order = run_order::forward;
    CHECK(p.wrong() == 0);
    CHECK(p.y == first);
  }
}

TEST_CASE("The NF4 matrix-vector product reads words of codes where width, block size and alignment allow it") {
  const auto blocks = [](std::int64_t batch, std::int64_t in, std::int64_t block, std::size_t skip) {
    product<float> p(batch, in, 9, block, true, 8);
    p.run(skip);
    CHECK(p.wrong() == 0);
    return p.blocks;
  };
  CHECK(blocks(1, 72, 64, 0) == 3);   // four rows a block of threads
  CHECK(blocks(3, 72, 128, 0) == 5);  // two
  CHECK(blocks(1, 70, 64, 0) == 9);   // one, an element a thread
  CHECK(blocks(1, 72, 32, 0) == 9);
  CHECK(blocks(1, 72, 64, 1) == 9);
}

TEST_CASE("A scale that is not finite spoils the rows of its own block only in the NF4 matrix-vector product") {
  for (const std::int64_t in : {64, 1088}) {
    product<float> p(2, in, 6, 64, false, 21);
    const std::int64_t blocks_a_row = in / 64;
    p.weight.absmax[static_cast<std::size_t>(4 * blocks_a_row)] = std::numeric_limits<float>::infinity();
    p.weight.absmax[static_cast<std::size_t>(blocks_a_row)] = std::nanf("");
    p.run();
    for (std::size_t i = 0; i < p.y.size(); ++i) CHECK(std::isfinite(p.y[i]) == (i % 6 != 4 && i % 6 != 1));
  }
}

TEST_CASE("The NF4 matrix-vector product refuses shapes that contradict the weight and launches nothing") {
  const nf4_bytes w(5 * 8, 64, false, 1);
  const std::vector<float> x(9 * 8);
  std::vector<float> y(9 * 5);
  const coho_cuda_nf4 view = {w.codes.data(), w.absmax.data(), nullptr, nullptr, 0, w.n, 64, 0};
  const std::uint64_t before = cuda::emulation::blocks_run;
  const auto refused = [&](std::int64_t batch, std::int64_t in, std::int64_t rows, int type = coho_cuda_float32) {
    return coho_cuda_nf4_matvec(&view, x.data(), batch, in, rows, y.data(), type, nullptr) ==
           cuda::cudaErrorInvalidValue;
  };
  CHECK(refused(0, 8, 5));
  CHECK(refused(9, 8, 5));
  CHECK(refused(1, 8, 4));
  CHECK(refused(1, 5, 7));
  CHECK(refused(1, 0, 5));
  CHECK(refused(1, -8, -5));
  CHECK(refused(1, std::int64_t{1} << 62, 4));
  CHECK(refused(1, 8, 5, 7));
  CHECK(coho_cuda_nf4_matvec(&view, nullptr, 1, 8, 5, y.data(), 0, nullptr) != 0);
  CHECK(coho_cuda_nf4_matvec(&view, x.data(), 1, 8, 5, nullptr, 0, nullptr) != 0);
  CHECK(cuda::emulation::blocks_run == before);
  CHECK_FALSE(refused(1, 8, 5));
}
