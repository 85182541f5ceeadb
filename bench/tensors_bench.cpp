// Losses on tensors, forward and backward, against the composite libtorch operations that Python trainers use: 524,288
// tokens or pairs, fp32, with libtorch's threads.
#include <cstdint>
#include <string>

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include <coho/kl/kl_loss.hpp>
#include <coho/loss/bradley_terry.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/nll.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/reduce.hpp>
#include <coho/torch/ops.hpp>

namespace coho::bench {
namespace {

constexpr std::int64_t count = 512 * 1024;

struct inputs {
  at::Tensor a, b, c, d, mask;
  token_weights<at::Tensor> weights;

  inputs() {
    at::manual_seed(1);
    for (at::Tensor* x : {&a, &b, &c, &d}) *x = 0.3 * at::randn({count});
    mask = (at::rand({count}) < 0.75).to(at::kFloat);
    weights.values = mask / mask.sum();
  }
  static const inputs& get() {
    static const inputs made;
    return made;
  }
};

at::Tensor masked_mean(const at::Tensor& x, const at::Tensor& mask) { return (x * mask).sum() / mask.sum(); }

// Loss and gradient with respect to x.
void add(const std::string& what, auto own, auto composite) {
  const auto both = [](const auto& loss) {
    const inputs& in = inputs::get();
    const at::Tensor x = in.a.detach().clone().requires_grad_();
    const at::Tensor value = loss(x, in);
    value.backward();
    return std::pair(value.detach(), x.grad());
  };
  const auto side = [&](const std::string& name, auto loss, auto other) {
    const auto run = [=](benchmark::State& state) {
      const auto mine = both(loss), theirs = both(other);
      if (!at::allclose(mine.first, theirs.first, 1e-4, 1e-6) ||
          !at::allclose(mine.second, theirs.second, 1e-4, 1e-9)) {
        return state.SkipWithError("coho and libtorch give different numbers");
      }
      for (auto _ : state) benchmark::DoNotOptimize(both(loss).second.data_ptr());
    };
    benchmark::RegisterBenchmark(name.c_str(), run)
        ->MinTime(0.02)
        ->Repetitions(15)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  side(what + "/coho", own, composite);
  side(what + "/libtorch", composite, own);
}
// The closed-form gradient against autograd.
void add_closed_form(const std::string& what, auto own, auto composite) {
  const auto run_own = [=](benchmark::State& state) {
    const inputs& in = inputs::get();
    for (auto _ : state) benchmark::DoNotOptimize(own(in).data_ptr());
  };
  const auto run_composite = [=](benchmark::State& state) {
    const inputs& in = inputs::get();
    for (auto _ : state) {
      const at::Tensor x = in.a.detach().clone().requires_grad_();
      composite(x, in).backward();
      benchmark::DoNotOptimize(x.grad().data_ptr());
    }
  };
  const auto one = [](const std::string& name, auto run) {
    benchmark::RegisterBenchmark(name.c_str(), run)
        ->MinTime(0.02)
        ->Repetitions(15)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  one(what + "/coho", run_own);
  one(what + "/libtorch", run_composite);
}

at::Tensor ppo(const at::Tensor& x, const inputs& in) {
  const at::Tensor ratio = at::exp(x - in.b);
  return masked_mean(at::maximum(-in.c * ratio, -in.c * at::clamp(ratio, 0.8, 1.2)), in.mask);
}
at::Tensor value(const at::Tensor& x, const inputs& in) {
  const at::Tensor clipped = at::maximum(at::minimum(x, in.b + 0.2), in.b - 0.2);
  return 0.5 * masked_mean(at::maximum(at::square(x - in.c), at::square(clipped - in.c)), in.mask);
}
at::Tensor dpo(const at::Tensor& x, const inputs& in) {
  return -at::log_sigmoid(0.1 * ((x - in.b) - (in.c - in.d))).mean();
}
at::Tensor k3(const at::Tensor& x, const inputs& in) {
  return masked_mean(at::exp(in.b - x) - (in.b - x) - 1, in.mask);
}

[[maybe_unused]] const bool registered = [] {
  add(
      "tensors, ppo_clip",
      [](const at::Tensor& x, const inputs& in) {
        return ppo_clip_loss{}(policy_loss_inputs<at::Tensor>{
            .log_probs = x, .old_log_probs = in.b, .advantages = in.c, .weights = in.weights});
      },
      ppo);
  add_closed_form(
      "tensors, ppo_clip value_and_grad",
      [](const inputs& in) {
        return ppo_clip_loss{}
            .value_and_grad(policy_loss_inputs<at::Tensor>{
                .log_probs = in.a, .old_log_probs = in.b, .advantages = in.c, .weights = in.weights})
            .d_log_probs;
      },
      ppo);
  add(
      "tensors, value_clip",
      [](const at::Tensor& x, const inputs& in) {
        return value_clip_loss{}(
            value_loss_inputs<at::Tensor>{.values = x, .old_values = in.b, .returns = in.c, .weights = in.weights});
      },
      value);
  add(
      "tensors, nll", [](const at::Tensor& x, const inputs& in) { return nll_loss{}(x, in.weights); },
      [](const at::Tensor& x, const inputs& in) { return -masked_mean(x, in.mask); });
  add(
      "tensors, bradley_terry",
      [](const at::Tensor& x, const inputs& in) {
        return bradley_terry_loss{}(pair_loss_inputs<at::Tensor>{.chosen = x, .rejected = in.b});
      },
      [](const at::Tensor& x, const inputs& in) { return -at::log_sigmoid(x - in.b).mean(); });
  add(
      "tensors, dpo",
      [](const at::Tensor& x, const inputs& in) {
        return dpo_loss{}(preference_loss_inputs<at::Tensor>{
            .chosen = x, .rejected = in.c, .reference_chosen = in.b, .reference_rejected = in.d});
      },
      dpo);
  add(
      "tensors, kl_loss k3",
      [](const at::Tensor& x, const inputs& in) {
        return kl_loss{}(
            kl_loss_inputs<at::Tensor>{.log_probs = x, .reference_log_probs = in.b, .weights = in.weights});
      },
      k3);
  return true;
}();

}  // namespace
}  // namespace coho::bench
