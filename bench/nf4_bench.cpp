// NF4 on a weight [4096, 4096]: quantisation, dequantisation against libtorch's operators and against the write
// bandwidth of memory, and the product with one row and with eight against libtorch's on the fp32 weight. GB/s count
// the bytes read and written.
#include <cstdint>

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include "quant/nf4.hpp"

namespace {

using namespace coho::trainer;

constexpr std::int64_t size = 4096;

struct inputs {
  at::Tensor dense, narrow;
  nf4_tensor packed;

  inputs() {
    at::manual_seed(1);
    dense = 0.02 * at::randn({size, size});
    narrow = dense.to(at::kBFloat16);
    packed = quantize_nf4(dense);
  }
  static const inputs& get() {
    static const inputs made;
    return made;
  }
};

template <class Work>
void measure(benchmark::State& state, double bytes_per_weight, const Work& work) {
  for (auto _ : state) work();
  state.SetBytesProcessed(
      static_cast<std::int64_t>(static_cast<double>(state.iterations() * size * size) * bytes_per_weight));
}

template <class Run>
void add(const char* name, Run run) {
  benchmark::RegisterBenchmark(name, run)->Repetitions(3)->UseRealTime()->Unit(benchmark::kMillisecond);
}

void quantize(benchmark::State& state, const at::Tensor& weight) {
  const double bytes = static_cast<double>(weight.element_size()) + 0.5;
  measure(state, bytes, [&] { benchmark::DoNotOptimize(quantize_nf4(weight).codes.data_ptr()); });
}
void dequantize_kernel(benchmark::State& state, at::ScalarType type) {
  at::Tensor out = at::empty({size, size}, type);
  const auto& in = inputs::get();
  measure(state, static_cast<double>(out.element_size()) + 0.5, [&] { dequantize_into(in.packed, out); });
}
void dequantize_gather(benchmark::State& state, at::ScalarType type) {
  const auto& in = inputs::get();
  const double bytes = static_cast<double>(at::elementSize(type)) + 0.5;
  measure(state, bytes, [&] { benchmark::DoNotOptimize(dequantize_by_gather(in.packed, type).data_ptr()); });
}
void fill(benchmark::State& state, at::ScalarType type) {  // the write bandwidth of memory
  at::Tensor out = at::empty({size, size}, type);
  measure(state, static_cast<double>(out.element_size()), [&] { out.fill_(1); });
}
void matvec_codes(benchmark::State& state, std::int64_t rows) {
  const at::Tensor x = at::randn({rows, size});
  const auto& in = inputs::get();
  measure(state, 0.5, [&] { benchmark::DoNotOptimize(nf4_linear(x, in.packed).data_ptr()); });
}
void matvec_dense(benchmark::State& state, std::int64_t rows) {
  const at::Tensor x = at::randn({rows, size});
  const auto& in = inputs::get();
  measure(state, 4, [&] { benchmark::DoNotOptimize(at::matmul(x, in.dense.t()).data_ptr()); });
}

[[maybe_unused]] const bool registered = [] {
  add("NF4 quantise fp32/coho", [](benchmark::State& state) { quantize(state, inputs::get().dense); });
  add("NF4 quantise bf16/coho", [](benchmark::State& state) { quantize(state, inputs::get().narrow); });
  add("NF4 dequantise to fp32/coho", [](benchmark::State& state) { dequantize_kernel(state, at::kFloat); });
  add("NF4 dequantise to fp32/gather", [](benchmark::State& state) { dequantize_gather(state, at::kFloat); });
  add("NF4 dequantise to fp32/fill", [](benchmark::State& state) { fill(state, at::kFloat); });
  add("NF4 dequantise to bf16/coho", [](benchmark::State& state) { dequantize_kernel(state, at::kBFloat16); });
  add("NF4 dequantise to bf16/gather", [](benchmark::State& state) { dequantize_gather(state, at::kBFloat16); });
  add("NF4 dequantise to bf16/fill", [](benchmark::State& state) { fill(state, at::kBFloat16); });
  add("NF4 product, 1 row/coho", [](benchmark::State& state) { matvec_codes(state, 1); });
  add("NF4 product, 1 row/fp32 matmul", [](benchmark::State& state) { matvec_dense(state, 1); });
  add("NF4 product, 8 rows/coho", [](benchmark::State& state) { matvec_codes(state, 8); });
  add("NF4 product, 8 rows/fp32 matmul", [](benchmark::State& state) { matvec_dense(state, 8); });
  return true;
}();

}  // namespace
