// The time of single kernels (NF4 and log-probabilities) and the device limits that they are compared with.
#include <algorithm>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>

#include <coho/torch/fused_log_probs.hpp>

#include "kernels/log_prob_kernels.hpp"
#include "plan/machine_rates.hpp"
#include "quant/nf4.hpp"
#include "sections.hpp"

namespace coho::bench {

using namespace trainer;
using nlohmann::json;

namespace {

struct shape {
  std::int64_t rows, columns, of_a_layer;  ///< how many such linears a layer has
};

std::vector<shape> shapes_of_linears(const llama_config& m) {
  return {{m.query_size(), m.hidden_size, 2},
          {m.key_value_size(), m.hidden_size, 2},
          {m.intermediate_size, m.hidden_size, 2},
          {m.hidden_size, m.intermediate_size, 1}};
}

/// Copies of one weight that together exceed any cache: each call reads a different one.
std::vector<nf4_tensor> copies_of(const bench_machine& machine, const shape& s) {
  const auto bytes = nf4_bytes(s.rows * s.columns, true);
  const std::int64_t least = machine.small ? 1 << 16 : std::int64_t{512} << 20;
  const at::Tensor dense = at::randn({s.rows, s.columns}, at::TensorOptions().device(machine.device)).mul_(0.02);
  std::vector<nf4_tensor> out{quantize_nf4(dense)};
  while (static_cast<std::int64_t>(out.size()) * bytes < least) {
    nf4_tensor copy = out.front();
    for (at::Tensor* part : {&copy.codes, &copy.absmax, &copy.nested_absmax, &copy.nested_map}) *part = part->clone();
    out.push_back(std::move(copy));
  }
  return out;
}

template <class Things>
const auto& of_turn(const Things& things, int turn) {
  return things[static_cast<std::size_t>(turn) % things.size()];
}

// Differentiable log-probabilities through full logits, as in other trainers.
at::Tensor composite_log_probs(const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& targets) {
  const at::Tensor logits = at::matmul(hidden, head.t()).to(at::kFloat);
  return at::log_softmax(logits, -1).gather(1, targets.unsqueeze(1)).squeeze(1);
}

struct log_prob_inputs {
  at::Tensor hidden, head, targets;
  log_prob_inputs(const bench_machine& machine, at::ScalarType type, std::int64_t tokens, std::int64_t width,
                  std::int64_t words)
      : hidden(at::randn({tokens, width}, machine.options().dtype(type))),
        head(at::randn({words, width}, machine.options().dtype(type)).mul_(0.02)),
        targets(at::randint(words, {tokens}, machine.options().dtype(at::kLong))) {}
};

at::Tensor fused(const bench_machine& machine, const log_prob_inputs& in) {
  return fused_log_probs(in.hidden, in.head, in.targets, {.kernels = find_log_prob_kernels(machine.device)}).log_probs;
}

// f is called as for time_calls; afterwards the gradient of the hidden states is released.
template <class F>
std::int64_t extra_memory(const bench_machine& machine, const F& f) {
  f();
  forget_peak(machine);
  const std::int64_t before = memory_of(machine).now;
  f();
  machine.synchronize();
  return std::max<std::int64_t>(1, memory_of(machine).peak - before);
}

json log_probs_in(const bench_machine& machine, const shapes& sizes, at::ScalarType type) {
  const std::int64_t tokens = sizes.log_prob_tokens, width = sizes.model.hidden_size, words = sizes.model.vocab_size;
  log_prob_inputs in(machine, type, tokens, width, words);
  json out;
  const auto time = [&](const char* name, const auto& f) {
    out[name] = json_of(time_calls(machine, [&](int) { f(); }));
  };
  const auto backward = [&](const at::Tensor& log_probs) {
    log_probs.sum().backward();
    in.hidden.mutable_grad() = at::Tensor();
  };
  {
    const at::NoGradGuard no_gradient;
    at::Tensor logits = at::empty({tokens, words}, in.hidden.options());
    time("gemm", [&] { at::mm_out(logits, in.hidden, in.head.t()); });
    logits = at::Tensor();
    time("forward", [&] { fused(machine, in); });
    time("composite_forward", [&] { composite_log_probs(in.hidden, in.head, in.targets); });
  }
  in.hidden.set_requires_grad(true);
  time("forward_backward", [&] { backward(fused(machine, in)); });
  time("composite_forward_backward", [&] { backward(composite_log_probs(in.hidden, in.head, in.targets)); });
  // For tiny shapes the memory of a process says nothing.
  if (memory_is_known(machine) && !(machine.small && !machine.cuda())) {
    out["memory"] = extra_memory(machine, [&] { backward(fused(machine, in)); });
    out["composite_memory"] =
        extra_memory(machine, [&] { backward(composite_log_probs(in.hidden, in.head, in.targets)); });
  }
  return out;
}

}  // namespace

json measure_limits(const bench_machine& machine) {
  const memory_rates memory = measure_memory(machine.device, machine.small ? 12 << 20 : 0);
  const machine_rates rates = measure_machine(machine.device, machine.compute);
  return {{"read", memory.read}, {"copy", memory.copy}, {"triad", memory.triad}, {"matmul", rates.flops}};
}

json measure_nf4(const bench_machine& machine, const shapes& sizes) {
  const at::NoGradGuard no_gradient;
  // 8192 rows: a micro-batch of scoring and update.
  std::vector<std::int64_t> batches{1, 2, 4, 8, 16, 64, 128, 256, 8192};
  if (machine.small) batches.back() = 512;
  const auto width = static_cast<std::int64_t>(c10::elementSize(machine.compute));
  json dequantise = json::array(), linear = json::array();
  for (const shape& s : shapes_of_linears(sizes.model)) {
    const std::vector<nf4_tensor> weights = copies_of(machine, s);
    const std::int64_t numbers = s.rows * s.columns, packed = nf4_bytes(numbers, true);
    at::Tensor buffer = at::empty({s.rows, s.columns}, machine.options());
    json row = json_of(time_calls(machine, [&](int i) { dequantize_into(of_turn(weights, i), buffer); }));
    row.update(
        {{"rows", s.rows}, {"columns", s.columns}, {"of_a_layer", s.of_a_layer}, {"bytes", packed + numbers * width}});
    dequantise.push_back(row);
    buffer = at::Tensor();
    for (const std::int64_t m : batches) {
      const at::Tensor x = at::randn({m, s.columns}, machine.options());
      row = json_of(time_calls(machine, [&](int i) { nf4_linear(x, of_turn(weights, i)); }));
      row.update({{"rows", s.rows},
                  {"columns", s.columns},
                  {"of_a_layer", s.of_a_layer},
                  {"m", m},
                  {"bytes", packed + m * (s.rows + s.columns) * width},
                  {"flops", 2.0 * static_cast<double>(m * numbers)}});
      linear.push_back(row);
    }
  }
  return {{"dequantise", dequantise}, {"linear", linear}};
}

std::int64_t log_probs_memory(const bench_machine& machine, at::ScalarType type, std::int64_t tokens,
                              std::int64_t width, std::int64_t words) {
  log_prob_inputs in(machine, type, tokens, width, words);
  in.hidden.set_requires_grad(true);
  return extra_memory(machine, [&] {
    fused(machine, in).sum().backward();
    in.hidden.mutable_grad() = at::Tensor();
  });
}

json measure_log_probs(const bench_machine& machine, const shapes& sizes) {
  return {{"tokens", sizes.log_prob_tokens},
          {"width", sizes.model.hidden_size},
          {"words", sizes.model.vocab_size},
          {"types",
           {{"bfloat16", log_probs_in(machine, sizes, at::kBFloat16)},
            {"float32", log_probs_in(machine, sizes, at::kFloat)}}}};
}

}  // namespace coho::bench
