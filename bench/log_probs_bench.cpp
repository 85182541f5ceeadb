// fused_log_probs against log_softmax and gather on the same hidden states: 2,048 tokens, 32,000 words, hidden size
// 512, fp32. The head is frozen, as it is under adapters; backward gives the gradient of the hidden states.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>

#include <coho/torch/fused_log_probs.hpp>
#include <cstdint>
#include <fstream>
#include <string>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

constexpr std::int64_t tokens = 2048, vocabulary = 32000, hidden_size = 512;

struct inputs {
  at::Tensor hidden, head, targets;

  inputs() {
    at::manual_seed(1);
    hidden = at::randn({tokens, hidden_size});
    head = 0.05 * at::randn({vocabulary, hidden_size});
    targets = at::randint(vocabulary, {tokens}, at::kLong);
  }
  static const inputs& get() {
    static const inputs made;
    return made;
  }
};

at::Tensor fused(const at::Tensor& hidden, const inputs& in) {
  return coho::fused_log_probs(hidden, in.head, in.targets).log_probs;
}
at::Tensor whole(const at::Tensor& hidden, const inputs& in) {
  return at::log_softmax(at::matmul(hidden, in.head.t()), 1).gather(1, in.targets.unsqueeze(1)).squeeze(1);
}

/// A line of /proc/self/status in MB; 0 where there is none.
double status_megabytes(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    double kilobytes = 0;
    if (word == key && file >> kilobytes) return kilobytes * 1024 / 1e6;
  }
  return 0;
}

/// Runs and times the work, and tells the most memory it held beyond what was held before.
template <class Work>
void measure(benchmark::State& state, const Work& work) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  std::ofstream("/proc/self/clear_refs") << 5;  // sets the peak back to what is held now
  const double before = status_megabytes("VmRSS:");
  for (auto _ : state) work();
  state.counters["peak_MB"] = status_megabytes("VmHWM:") - before;
  state.SetItemsProcessed(state.iterations() * tokens);
}

template <class LogProbs>
void forward(benchmark::State& state, LogProbs log_probs) {
  const inputs& in = inputs::get();
  const at::NoGradGuard no_gradient;
  measure(state, [&] { benchmark::DoNotOptimize(log_probs(in.hidden, in).data_ptr()); });
}

template <class LogProbs>
void forward_backward(benchmark::State& state, LogProbs log_probs) {
  const inputs& in = inputs::get();
  measure(state, [&] {
    const at::Tensor hidden = in.hidden.detach().requires_grad_();
    log_probs(hidden, in).sum().backward();
    benchmark::DoNotOptimize(hidden.grad().data_ptr());
  });
}

template <class Run>
void add(const char* name, Run run) {
  benchmark::RegisterBenchmark(name, run)->Iterations(1)->Repetitions(3)->UseRealTime()->Unit(benchmark::kMillisecond);
}

[[maybe_unused]] const bool registered = [] {
  add("log_probs forward/coho", [](benchmark::State& state) { forward(state, fused); });
  add("log_probs forward/log_softmax", [](benchmark::State& state) { forward(state, whole); });
  add("log_probs forward+backward/coho", [](benchmark::State& state) { forward_backward(state, fused); });
  add("log_probs forward+backward/log_softmax", [](benchmark::State& state) { forward_backward(state, whole); });
  return true;
}();

}  // namespace
