// Each algorithm against the loop that one would write by hand for it, on 512 responses of 1024 tokens.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <coho/advantage/gae.hpp>
#include <coho/advantage/whiten.hpp>
#include <coho/kl/estimators.hpp>
#include <coho/loss/bradley_terry.hpp>
#include <coho/loss/nll.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/reduce.hpp>
#include <coho/reward/shaping.hpp>
#include <coho/rng.hpp>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

constexpr std::size_t sequences = 512, length = 1024, tokens = sequences * length;

template <class Number>
struct inputs {
  using array = Eigen::Array<Number, Eigen::Dynamic, 1>;
  std::vector<std::size_t> offsets;
  std::vector<std::uint8_t> mask = std::vector<std::uint8_t>(tokens, 1);
  array a, b, c, rewards;
  coho::token_weights<Eigen::ArrayXd> weights;

  inputs() : a(tokens), b(tokens), c(tokens), rewards(sequences) {
    coho::rng random(1);
    for (std::size_t i = 0; i <= sequences; ++i) offsets.push_back(i * length);
    for (array* x : {&a, &b, &c, &rewards}) {
      for (Number& v : *x) v = static_cast<Number>(0.3 * random.normal());
    }
    // Padding at the end of each response, as batches have it.
    for (std::size_t i = 0; i < sequences; ++i) {
      const std::size_t real = length / 2 + random.index(length / 2);
      std::fill_n(mask.begin() + static_cast<std::ptrdiff_t>(i * length + real), length - real, std::uint8_t{0});
    }
    weights = coho::make_token_weights(mask, offsets);
  }
  static const inputs& get() {
    static const inputs made;
    return made;
  }
};

void count(benchmark::State& state) { state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(tokens)); }

template <class Number>
void gae_raw(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    typename inputs<Number>::array advantages(tokens), returns(tokens);
    for (std::size_t i = 0; i < sequences; ++i) {
      double next_value = 0, next = 0;
      for (std::size_t t = in.offsets[i + 1]; t-- > in.offsets[i];) {
        const double value = in.b.data()[t];
        next = in.a.data()[t] + 0.99 * next_value - value + 0.99 * 0.95 * next;
        next_value = value;
        advantages.data()[t] = static_cast<Number>(next);
        returns.data()[t] = static_cast<Number>(next + value);
      }
    }
    benchmark::DoNotOptimize(advantages.data());
    benchmark::DoNotOptimize(returns.data());
  }
  count(state);
}
template <class Number>
void gae_coho(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    const auto result = coho::gae(in.a, in.b, in.offsets, {.gamma = 0.99, .lambda = 0.95});
    benchmark::DoNotOptimize(result.advantages.data());
  }
  count(state);
}

template <class Number>
void whiten_raw(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    double sum = 0, squares = 0, n = 0;
    for (std::size_t t = 0; t < tokens; ++t) {
      if (in.mask[t]) sum += in.a.data()[t], n += 1;
    }
    const double mean = sum / n;
    for (std::size_t t = 0; t < tokens; ++t) {
      if (in.mask[t]) squares += (in.a.data()[t] - mean) * (in.a.data()[t] - mean);
    }
    const double factor = 1 / (std::sqrt(squares / n) + 1e-8);
    typename inputs<Number>::array out(tokens);
    for (std::size_t t = 0; t < tokens; ++t)
      out.data()[t] = in.mask[t] ? static_cast<Number>((in.a.data()[t] - mean) * factor) : Number(0);
    benchmark::DoNotOptimize(out.data());
  }
  count(state);
}
template <class Number>
void whiten_coho(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    const auto out = coho::whiten(in.a, in.mask);
    benchmark::DoNotOptimize(out.data());
  }
  count(state);
}

template <class Number>
void ppo_clip_raw(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    typename inputs<Number>::array gradient(tokens);
    double loss = 0;
    for (std::size_t t = 0; t < tokens; ++t) {
      const double w = in.weights.values.data()[t];
      const Number ratio = std::exp(in.a.data()[t] - in.b.data()[t]), advantage = in.c.data()[t];
      const Number free = -advantage * ratio, clipped = -advantage * std::clamp(ratio, Number(0.8), Number(1.2));
      loss += w * std::max(free, clipped);
      gradient.data()[t] = free >= clipped ? static_cast<Number>(w * free) : Number(0);
    }
    benchmark::DoNotOptimize(loss);
    benchmark::DoNotOptimize(gradient.data());
  }
  count(state);
}
template <class Number>
void ppo_clip_coho(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    const auto result = coho::ppo_clip_loss{}.value_and_grad(in.a, in.b, in.c, in.weights);
    benchmark::DoNotOptimize(result.d_log_probs.data());
  }
  count(state);
}

template <class Number>
void value_clip_raw(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    typename inputs<Number>::array gradient(tokens);
    double loss = 0;
    for (std::size_t t = 0; t < tokens; ++t) {
      const double w = in.weights.values.data()[t];
      const Number v = in.a.data()[t], old = in.b.data()[t], target = in.c.data()[t];
      const Number error = v - target, clipped = std::clamp(v, old - Number(0.2), old + Number(0.2)) - target;
      loss += w * 0.5 * std::max(error * error, clipped * clipped);
      gradient.data()[t] = error * error >= clipped * clipped ? static_cast<Number>(w * error) : Number(0);
    }
    benchmark::DoNotOptimize(loss);
    benchmark::DoNotOptimize(gradient.data());
  }
  count(state);
}
template <class Number>
void value_clip_coho(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    const auto result = coho::value_clip_loss{}.value_and_grad(in.a, in.b, in.c, in.weights);
    benchmark::DoNotOptimize(result.d_values.data());
  }
  count(state);
}

template <class Number>
void nll_raw(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    typename inputs<Number>::array gradient(tokens);
    double loss = 0;
    for (std::size_t t = 0; t < tokens; ++t) {
      const double w = in.weights.values.data()[t];
      loss -= w * in.a.data()[t];
      gradient.data()[t] = static_cast<Number>(-w);
    }
    benchmark::DoNotOptimize(loss);
    benchmark::DoNotOptimize(gradient.data());
  }
  count(state);
}
template <class Number>
void nll_coho(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    const auto result = coho::nll_loss{}.value_and_grad(in.a, in.weights);
    benchmark::DoNotOptimize(result.d_log_probs.data());
  }
  count(state);
}

template <class Number>
void bradley_terry_raw(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    typename inputs<Number>::array first(tokens), second(tokens);
    double loss = 0;
    for (std::size_t t = 0; t < tokens; ++t) {
      const double z = in.a.data()[t] - in.b.data()[t], e = std::exp(-std::abs(z)), w = in.weights.values.data()[t];
      loss += w * ((z < 0 ? -z : 0) + std::log1p(e));
      const double slope = -w * (z < 0 ? 1 : e) / (1 + e);
      first.data()[t] = static_cast<Number>(slope);
      second.data()[t] = static_cast<Number>(-slope);
    }
    benchmark::DoNotOptimize(loss);
    benchmark::DoNotOptimize(first.data());
    benchmark::DoNotOptimize(second.data());
  }
  count(state);
}
template <class Number>
void bradley_terry_coho(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    const auto result = coho::bradley_terry_loss{}.value_and_grad(in.a, in.b, in.weights);
    benchmark::DoNotOptimize(result.d_preferred.data());
  }
  count(state);
}

template <class Number>
void k3_raw(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    typename inputs<Number>::array out(tokens);
    for (std::size_t t = 0; t < tokens; ++t) {
      const double d = static_cast<double>(in.a.data()[t]) - in.b.data()[t];
      out.data()[t] = static_cast<Number>(std::expm1(-d) + d);
    }
    benchmark::DoNotOptimize(out.data());
  }
  count(state);
}
template <class Number>
void k3_coho(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    const auto out = coho::kl_estimate(in.a, in.b, coho::kl_estimator::k3);
    benchmark::DoNotOptimize(out.data());
  }
  count(state);
}

template <class Number>
void shape_rewards_raw(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    Eigen::ArrayXd out(tokens);
    for (std::size_t i = 0; i < sequences; ++i) {
      for (std::size_t t = in.offsets[i]; t < in.offsets[i + 1]; ++t)
        out.data()[t] = -0.02 * (static_cast<double>(in.a.data()[t]) - in.b.data()[t]);
      out.data()[in.offsets[i + 1] - 1] += in.rewards.data()[i];
    }
    benchmark::DoNotOptimize(out.data());
  }
  count(state);
}
template <class Number>
void shape_rewards_coho(benchmark::State& state) {
  const auto& in = inputs<Number>::get();
  for (auto _ : state) {
    const auto out = coho::shape_rewards(in.rewards, in.a, in.b, in.offsets, {}, coho::shaping_options::paper());
    benchmark::DoNotOptimize(out.data());
  }
  count(state);
}

}  // namespace

#define COHO_COMPARE(name)        \
  BENCHMARK(name##_raw<double>);  \
  BENCHMARK(name##_coho<double>); \
  BENCHMARK(name##_raw<float>);   \
  BENCHMARK(name##_coho<float>)

COHO_COMPARE(gae);
COHO_COMPARE(whiten);
COHO_COMPARE(ppo_clip);
COHO_COMPARE(value_clip);
COHO_COMPARE(nll);
COHO_COMPARE(bradley_terry);
COHO_COMPARE(k3);
COHO_COMPARE(shape_rewards);
