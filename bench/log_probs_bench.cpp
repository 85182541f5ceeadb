// fused_log_probs against log_softmax and gather on the same hidden states, 32,000 words, fp32: 2,048 tokens with
// hidden size 512, and 4,096 with hidden size 288. The head is frozen, as with adapters; backward computes the gradient
// of the hidden states.
#include <cstdint>
#include <fstream>
#include <string>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>

#include <coho/torch/fused_log_probs.hpp>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

constexpr std::int64_t vocabulary = 32000;

struct inputs {
  at::Tensor hidden, head, targets;

  inputs(std::int64_t tokens, std::int64_t hidden_size) {
    at::manual_seed(1);
    hidden = at::randn({tokens, hidden_size});
    head = 0.05 * at::randn({vocabulary, hidden_size});
    targets = at::randint(vocabulary, {tokens}, at::kLong);
  }
};

struct wide {
  static const inputs& get() {
    static const inputs made(2048, 512);
    return made;
  }
};
struct narrow {
  static const inputs& get() {
    static const inputs made(4096, 288);
    return made;
  }
};

at::Tensor fused(const at::Tensor& hidden, const inputs& in) {
  return coho::fused_log_probs(hidden, in.head, in.targets).log_probs;
}
at::Tensor whole(const at::Tensor& hidden, const inputs& in) {
  return at::log_softmax(at::matmul(hidden, in.head.t()), 1).gather(1, in.targets.unsqueeze(1)).squeeze(1);
}

/// A line of /proc/self/status in MB; 0 if there is none.
double status_megabytes(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    double kilobytes = 0;
    if (word == key && file >> kilobytes) return kilobytes * 1024 / 1e6;
  }
  return 0;
}

/// Runs and times the work, and reports its peak memory beyond what was held before.
template <class Work>
void measure(benchmark::State& state, const inputs& in, const Work& work) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  std::ofstream("/proc/self/clear_refs") << 5;  // resets the peak to the current amount
  const double before = status_megabytes("VmRSS:");
  for (auto _ : state) work();
  state.counters["peak_MB"] = status_megabytes("VmHWM:") - before;
  state.SetItemsProcessed(state.iterations() * in.hidden.size(0));
}

template <class LogProbs>
void forward(benchmark::State& state, const inputs& in, LogProbs log_probs) {
  const at::NoGradGuard no_gradient;
  measure(state, in, [&] { benchmark::DoNotOptimize(log_probs(in.hidden, in).data_ptr()); });
}

template <class LogProbs>
void forward_backward(benchmark::State& state, const inputs& in, LogProbs log_probs) {
  measure(state, in, [&] {
    const at::Tensor hidden = in.hidden.detach().requires_grad_();
    log_probs(hidden, in).sum().backward();
    benchmark::DoNotOptimize(hidden.grad().data_ptr());
  });
}

template <class Run>
void add(const std::string& name, Run run) {
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->Iterations(1)
      ->Repetitions(3)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

template <class Case>
void add_case(const std::string& what) {
  add(what + " forward/coho", [](benchmark::State& state) { forward(state, Case::get(), fused); });
  add(what + " forward/log_softmax", [](benchmark::State& state) { forward(state, Case::get(), whole); });
  add(what + " forward+backward/coho", [](benchmark::State& state) { forward_backward(state, Case::get(), fused); });
  add(what + " forward+backward/log_softmax",
      [](benchmark::State& state) { forward_backward(state, Case::get(), whole); });
}

[[maybe_unused]] const bool registered = [] {
  add_case<wide>("log_probs");
  add_case<narrow>("log_probs 4096x288");
  return true;
}();

}  // namespace
