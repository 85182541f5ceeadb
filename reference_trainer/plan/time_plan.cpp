#include "plan/time_plan.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <coho/error.hpp>

#include "architecture/storage_types.hpp"
#include "kernels/cpu/nf4_kernels.hpp"

namespace coho::trainer {
namespace {

// Estimates the work of each phase. As in memory_plan.cpp: o are the options, s the sizes, m the model.
struct work_estimator {
  const time_plan_options& o;
  const machine_rates& rates;
  const memory_plan_options& s = o.sizes;
  const llama_config& m = s.model;
  double linears = static_cast<double>(linear_parameter_count(m));
  double head = static_cast<double>(m.vocab_size * m.hidden_size);
  double width = static_cast<double>(element_bytes(s.compute));
  double length = static_cast<double>(s.query_tokens + s.response_tokens);

  bool is_quantized() const { return s.base == base_storage::nf4 || s.base == base_storage::nf4_double; }
  // Bytes of all linears packed as NF4.
  double packed_bytes() const {
    double total = 0;
    for (std::size_t i = 0; i < linear_kinds; ++i) {
      const auto [rows, columns] = linear_shape(m, static_cast<linear_kind>(i));
      total += static_cast<double>(m.num_hidden_layers * nf4_bytes(rows * columns, s.base == base_storage::nf4_double));
    }
    return total;
  }
  // The role with this name; null if the stage has none.
  const role_plan* find(const std::string& name) const {
    for (const auto& role : s.roles)
      if (role.name == name) return &role;
    return nullptr;
  }
  // Weights of a role's adapter; 0 without one.
  double adapter_weights(const role_plan* role) const {
    return role == nullptr || role->full ? 0.0 : static_cast<double>(adapter_parameter_count(m, role->ranks));
  }
  // Scores and mixtures of one token that sees `context` tokens, at most the sliding window.
  double attention_flops(double context) const {
    if (m.sliding_window) context = std::min(context, static_cast<double>(*m.sliding_window));
    return 4.0 * static_cast<double>(m.query_size() * m.num_hidden_layers) * context;
  }

  // Adds the work of a kernel, which is bound by arithmetic or by memory. `passes`: how often all linears are
  // dequantised for it.
  void add(phase_work& work, double flops, double bytes, double passes) const {
    work.flops += flops;
    work.bytes += bytes;
    work.seconds += std::max(flops / rates.flops, bytes / rates.bandwidth);
    if (passes <= 0) return;
    const double moved = passes * (packed_bytes() + 2 * linears * width);
    work.dequantize_bytes += moved;
    work.seconds += passes * (packed_bytes() + linears * width) / rates.bandwidth;
  }

  // How many forward passes of at most `group` tokens (0: any number) it takes.
  double forward_passes(double tokens, std::int64_t group) const {
    return group > 0 ? std::ceil(tokens / static_cast<double>(group)) : 1.0;
  }
  // Bytes of the linears and the adapter, read once.
  double weight_bytes(const role_plan* role) const { return (linears + adapter_weights(role)) * width; }

  // Prefill and decoding of all sequences, `slots` at a time.
  phase_work generation() const {
    phase_work out{.name = "generation"};
    const role_plan* role = find("policy");
    const double per_token = 2 * (linears + adapter_weights(role) + head);
    const auto prefix = static_cast<double>(s.prefix_tokens);
    const double own = static_cast<double>(s.query_tokens) + static_cast<double>(s.response_tokens) / 2;
    const double position = 2.0 * static_cast<double>(m.key_value_size() * m.num_hidden_layers) * width;
    const auto decode = [&](std::int64_t slots, double steps) {
      const auto n = static_cast<double>(slots);
      const bool direct = is_quantized() && slots <= cpu::nf4_matvec_rows;
      const double base = direct ? packed_bytes() + adapter_weights(role) * width : weight_bytes(role);
      // The shared prefix is read once per step for all slots.
      add(out, steps * n * (per_token + attention_flops(prefix + own)),
          steps * (base + head * width + position * (n * own + prefix)), is_quantized() && !direct ? steps : 0);
    };
    const std::int64_t waves = o.sequences / s.slots, rest = o.sequences % s.slots;
    decode(s.slots, static_cast<double>(waves * s.response_tokens));
    if (rest > 0) decode(rest, static_cast<double>(s.response_tokens));
    const double prompts = static_cast<double>(o.sequences * s.query_tokens);
    const double fills = std::max(forward_passes(prompts, s.prefill_tokens), static_cast<double>(waves));
    add(out,
        prompts *
            (2 * (linears + adapter_weights(role)) + attention_flops(prefix + static_cast<double>(s.query_tokens) / 2)),
        fills * weight_bytes(role), is_quantized() ? fills : 0);
    return out;
  }

  // Of all sequences at full length.
  double total_tokens() const { return static_cast<double>(o.sequences) * length; }
  double response_positions() const { return static_cast<double>(o.sequences * s.response_tokens); }

  // One forward pass over all sequences by one role.
  phase_work scoring(const time_plan_options::pass& pass) const {
    phase_work out{.name = pass.name};
    const role_plan* role = find(pass.name);
    const double own = pass.length > 0 ? static_cast<double>(pass.length) : length;
    const double all = static_cast<double>(o.sequences) * own, forwards = forward_passes(all, s.scoring_tokens);
    add(out,
        all * (2 * (linears + adapter_weights(role)) + attention_flops(own / 2)) +
            (pass.log_probs ? 2 * head * response_positions() : 0.0),
        forwards * weight_bytes(role), is_quantized() ? forwards : 0);
    return out;
  }

  // Forward and backward passes over all sequences in each epoch.
  phase_work update(const role_plan& role) const {
    phase_work out{.name = "update of " + role.name};
    const double forwards = forward_passes(total_tokens(), s.micro_batch_tokens),
                 n = total_tokens() * static_cast<double>(o.epochs);
    const double linear = 2 * linears, low_rank = 2 * adapter_weights(&role), mixing = attention_flops(length / 2);
    const double forward = linear + low_rank + mixing;
    // Own weights have gradients, like an adapter; a frozen base only passes the gradient on.
    const double backward = (role.full ? 2 : 1) * linear + 2 * low_rank + 2 * mixing;
    const double again = s.recompute == recomputation::full ? forward : 0.0;
    const double at_head = role.log_probs ? 2 * head * response_positions() * static_cast<double>(o.epochs) * 2 : 0.0;
    const double passes = static_cast<double>(o.epochs) * forwards * (again > 0 ? 3 : 2);
    add(out, n * (forward + backward + again) + at_head, passes * weight_bytes(&role),
        is_quantized() && !role.full ? passes : 0);
    return out;
  }
};

}  // namespace

void time_plan_options::validate() const {
  sizes.validate();
  require_option(sequences > 0, "sequences", sequences, "at least 1");
  require_option(epochs > 0, "epochs", epochs, "at least 1");
}

double time_plan::seconds() const {
  return std::accumulate(phases.begin(), phases.end(), 0.0,
                         [](double total, const phase_work& work) { return total + work.seconds; });
}

time_plan plan_time(const time_plan_options& options, const machine_rates& rates) {
  options.validate();
  rates.validate();
  const work_estimator estimate{options, rates};
  time_plan out;
  if (options.sizes.slots > 0) out.phases.push_back(estimate.generation());
  for (const auto& pass : options.scoring) out.phases.push_back(estimate.scoring(pass));
  if (options.sizes.micro_batch_tokens > 0)
    for (const auto& role : options.sizes.roles)
      if (role.trained) out.phases.push_back(estimate.update(role));
  return out;
}

}  // namespace coho::trainer
