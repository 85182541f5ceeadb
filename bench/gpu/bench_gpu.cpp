// Measures the quantities of the GPU targets (docs/performance.md) and writes them as JSON: bench/gpu/run builds and
// runs this and makes the table. `--device cpu --small` tries the program on any machine.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include <ATen/Context.h>
#include <CLI/CLI.hpp>
#include <c10/core/DeviceGuard.h>
#include <torch/version.h>

#include "files/json_file.hpp"
#include "sections.hpp"

namespace {

using namespace coho::bench;
using nlohmann::json;

constexpr int no_device = 4, some_failed = 5;

struct settings {
  std::string device = "cuda", json_file;
  bool small = false;
  std::int64_t layers = 0;
  double budget = 420;
  std::vector<std::string> only;
};

const std::vector<std::string> names{"limits", "nf4",    "log_probs", "decoding",
                                     "passes", "memory", "ppo_step",  "growth"};

class session {
 public:
  session(const settings& options, const bench_machine& machine) : options_(options), machine_(machine) {
    out_ = {{"format", 1},
            {"device", machine.device.str()},
            {"compute", c10::toString(machine.compute)},
            {"small", machine.small},
            {"libtorch", TORCH_VERSION},
            {"sections", json::object()},
            {"not_measured", json::object()},
            {"seconds", json::object()}};
#ifdef COHO_HAVE_CUDA_KERNELS
    out_["kernels"] = true;
#else
    out_["kernels"] = false;
#endif
  }

  double left() const { return options_.budget - since(start_); }

  /// Runs a part unless the time is up; the results so far are written after each.
  void part(const std::string& name, const std::function<json()>& measure) {
    if (!options_.only.empty() && std::find(options_.only.begin(), options_.only.end(), name) == options_.only.end())
      return missing(name, "not asked for");
    if (left() <= 0) return missing(name, "the time budget is exhausted");
    const auto begin = clock::now();
    try {
      out_["sections"][name] = measure();
    } catch (const std::exception& e) {
      const std::string what = e.what();
      missing(name, what.substr(0, what.find('\n')));
      failed_ = true;
    }
    out_["seconds"][name] = since(begin);
    std::printf("%-10s %6.1f s\n", name.c_str(), since(begin));
    std::fflush(stdout);
    write();
  }

  void note(const char* name, json value) { out_[name] = std::move(value); }
  int exit_code() const { return failed_ ? some_failed : 0; }

 private:
  void missing(const std::string& name, const std::string& why) {
    out_["not_measured"][name] = why;
    std::printf("%-10s not measured: %s\n", name.c_str(), why.c_str());
    write();
  }
  void write() const {
    if (!options_.json_file.empty()) coho::trainer::write_json(options_.json_file, out_);
  }

  const settings& options_;
  const bench_machine& machine_;
  json out_;
  bool failed_ = false;
  clock::time_point start_ = clock::now();
};

int run(const settings& options) {
  bench_machine machine{.device = at::kCPU, .small = options.small, .sample_seconds = options.small ? 0.005 : 0.15};
  if (options.device != "cpu") {
    if (!at::hasCUDA()) {
      std::fprintf(stderr,
                   "bench_gpu: no GPU, or a libtorch without CUDA; --device cpu --small tries the program without\n");
      return no_device;
    }
    const at::Device named(options.device);
    machine.device = at::Device(at::kCUDA, named.has_index() ? named.index() : c10::DeviceIndex(0));
  }
  // Code without a tensor argument runs on the current device; the first tensor creates the device's allocator.
  const c10::DeviceGuard guard(machine.device);
  at::zeros({1}, machine.options());
  machine.synchronize();
  const shapes sizes = shapes::of(machine);
  const std::int64_t layers = options.layers > 0 ? options.layers : machine.small ? 2 : 4;

  session s(options, machine);
  s.note("layers", {layers, 2 * layers});
  s.note("model", sizes.model.to_json());
  s.note("rank", sizes.rank);
  s.part("limits", [&] { return measure_limits(machine); });
  s.part("nf4", [&] { return measure_nf4(machine, sizes); });
  s.part("log_probs", [&] { return measure_log_probs(machine, sizes); });
  const auto begin = clock::now();
  const std::int64_t before = memory_of(machine).now;
  const coho::trainer::llama_weights weights = random_weights(sizes, machine, 2 * layers);
  machine.synchronize();
  s.note("seconds_of_weights", since(begin));
  const few_layers model{.weights = weights, .layers = layers};
  s.part("decoding", [&] { return measure_decoding(machine, sizes, model); });
  s.part("passes", [&] { return measure_passes(machine, sizes, model); });
  s.part("memory", [&] { return measure_step_memory(machine, sizes, model, before); });
  s.part("growth", [&] { return measure_growth(machine, sizes, model); });
  s.part("ppo_step", [&] { return measure_ppo_step(machine, sizes, model, s.left()); });
  return s.exit_code();
}

}  // namespace

int main(int argc, char** argv) {
  settings options;
  CLI::App app("Measures coho on a GPU, with the shapes of LLaMA-2 70B and a few of its layers.");
  app.add_option("--device", options.device, "cuda, cuda:1 or cpu")->capture_default_str();
  app.add_flag("--small", options.small, "tiny shapes, to test the program");
  app.add_option("--layers", options.layers,
                 "layers of the smaller model; the larger has twice as many (default: 4, small: 2)")
      ->check(CLI::Range(1, 40));
  app.add_option("--budget", options.budget, "seconds after which no further part is started")->capture_default_str();
  app.add_option("--json", options.json_file, "file for the figures, rewritten after each part");
  app.add_option("--only", options.only, "parts to measure")->check(CLI::IsMember(names))->delimiter(',');
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& e) {
    const std::string what = e.what();
    std::fprintf(stderr, "bench_gpu: %s\n", what.substr(0, what.find('\n')).c_str());
    return 1;
  }
}
