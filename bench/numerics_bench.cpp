// Each algorithm against the loop that one would write by hand for it, on 512 responses of 1,024 tokens, one thread.
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
#include <string>
#include <utility>
#include <vector>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

constexpr std::size_t sequences = 512, length = 1024;

template <class Number>
using array = Eigen::Array<Number, Eigen::Dynamic, 1>;

template <class Number>
struct inputs {
  std::vector<std::size_t> offsets;
  std::vector<std::uint8_t> mask = std::vector<std::uint8_t>(sequences * length, 1);
  array<Number> a, b, c, rewards;
  coho::token_weights<Eigen::ArrayXd> weights;

  inputs() : a(sequences * length), b(a.size()), c(a.size()), rewards(sequences) {
    coho::rng random(1);
    for (std::size_t i = 0; i <= sequences; ++i) offsets.push_back(i * length);
    for (array<Number>* x : {&a, &b, &c, &rewards}) {
      for (Number& v : *x) v = static_cast<Number>(0.3 * random.normal());
    }
    // Padding at the end of each response, as batches have it.
    for (std::size_t i = 0; i < sequences; ++i) {
      const std::size_t real = length / 2 + random.index(length / 2);
      std::fill_n(mask.begin() + static_cast<std::ptrdiff_t>(i * length + real), length - real, std::uint8_t{0});
    }
    weights = coho::make_token_weights(mask, offsets);
  }
  // Loops over it do not know the length as they are compiled.
  std::size_t tokens() const { return offsets.back(); }

  static const inputs& get() {
    static const inputs made;
    return made;
  }
};

struct gae {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> advantages(in.tokens()), returns(in.tokens());
    for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
      double next_value = 0, next = 0;
      for (std::size_t t = in.offsets[i + 1]; t-- > in.offsets[i];) {
        const double value = in.b.data()[t];
        next = in.a.data()[t] + 0.99 * next_value - value + 0.99 * 0.95 * next;
        next_value = value;
        advantages.data()[t] = static_cast<Number>(next);
        returns.data()[t] = static_cast<Number>(next + value);
      }
    }
    return std::pair(std::move(advantages), std::move(returns));
  }
  static auto own(const auto& in) { return coho::gae(in.a, in.b, in.offsets, {.gamma = 0.99, .lambda = 0.95}); }
};

struct whiten {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    double sum = 0, squares = 0, n = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      if (in.mask[t]) sum += in.a.data()[t], n += 1;
    }
    const double mean = sum / n;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      if (in.mask[t]) squares += (in.a.data()[t] - mean) * (in.a.data()[t] - mean);
    }
    const double factor = 1 / (std::sqrt(squares / n) + 1e-8);
    array<Number> out(in.tokens());
    for (std::size_t t = 0; t < in.tokens(); ++t)
      out.data()[t] = in.mask[t] ? static_cast<Number>((in.a.data()[t] - mean) * factor) : Number(0);
    return out;
  }
  static auto own(const auto& in) { return coho::whiten(in.a, in.mask); }
};

struct ppo_clip {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.tokens());
    double loss = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double w = in.weights.values.data()[t];
      const Number ratio = std::exp(in.a.data()[t] - in.b.data()[t]), advantage = in.c.data()[t];
      const Number free = -advantage * ratio, clipped = -advantage * std::clamp(ratio, Number(0.8), Number(1.2));
      loss += w * std::max(free, clipped);
      gradient.data()[t] = free >= clipped ? static_cast<Number>(w * free) : Number(0);
    }
    return std::pair(loss, std::move(gradient));
  }
  static auto own(const auto& in) { return coho::ppo_clip_loss{}.value_and_grad(in.a, in.b, in.c, in.weights); }
};

struct value_clip {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.tokens());
    double loss = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double w = in.weights.values.data()[t];
      const Number v = in.a.data()[t], old = in.b.data()[t], target = in.c.data()[t];
      const Number error = v - target, clipped = std::clamp(v, old - Number(0.2), old + Number(0.2)) - target;
      loss += w * 0.5 * std::max(error * error, clipped * clipped);
      gradient.data()[t] = error * error >= clipped * clipped ? static_cast<Number>(w * error) : Number(0);
    }
    return std::pair(loss, std::move(gradient));
  }
  static auto own(const auto& in) { return coho::value_clip_loss{}.value_and_grad(in.a, in.b, in.c, in.weights); }
};

struct nll {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.tokens());
    double loss = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double w = in.weights.values.data()[t];
      loss -= w * in.a.data()[t];
      gradient.data()[t] = static_cast<Number>(-w);
    }
    return std::pair(loss, std::move(gradient));
  }
  static auto own(const auto& in) { return coho::nll_loss{}.value_and_grad(in.a, in.weights); }
};

struct bradley_terry {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> first(in.tokens()), second(in.tokens());
    double loss = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double z = in.a.data()[t] - in.b.data()[t], e = std::exp(-std::abs(z)), w = in.weights.values.data()[t];
      loss += w * ((z < 0 ? -z : 0) + std::log1p(e));
      const double slope = -w * (z < 0 ? 1 : e) / (1 + e);
      first.data()[t] = static_cast<Number>(slope);
      second.data()[t] = static_cast<Number>(-slope);
    }
    return std::pair(loss, std::pair(std::move(first), std::move(second)));
  }
  static auto own(const auto& in) { return coho::bradley_terry_loss{}.value_and_grad(in.a, in.b, in.weights); }
};

template <coho::kl_estimator Estimator>
struct kl {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> out(in.tokens());
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double d = static_cast<double>(in.a.data()[t]) - in.b.data()[t];
      if constexpr (Estimator == coho::kl_estimator::k1) {
        out.data()[t] = static_cast<Number>(d);
      } else if constexpr (Estimator == coho::kl_estimator::k2) {
        out.data()[t] = static_cast<Number>(0.5 * d * d);
      } else {
        out.data()[t] = static_cast<Number>(std::expm1(-d) + d);
      }
    }
    return out;
  }
  static auto own(const auto& in) { return coho::kl_estimate(in.a, in.b, Estimator); }
};

struct shape_rewards {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    Eigen::ArrayXd out(in.tokens());
    for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
      for (std::size_t t = in.offsets[i]; t < in.offsets[i + 1]; ++t)
        out.data()[t] = -0.02 * (static_cast<double>(in.a.data()[t]) - in.b.data()[t]);
      out.data()[in.offsets[i + 1] - 1] += in.rewards.data()[i];
    }
    return out;
  }
  static auto own(const auto& in) {
    return coho::shape_rewards(in.rewards, in.a, in.b, in.offsets, {}, coho::shaping_options::paper());
  }
};

template <class Number>
void add(const std::string& name, auto run) {
  const auto body = [run](benchmark::State& state) {
    const auto& in = inputs<Number>::get();
    for (auto _ : state) {
      const auto result = run(in);
      const void* escaped = &result;
      benchmark::DoNotOptimize(escaped);
      benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(in.tokens()));
  };
  benchmark::RegisterBenchmark(name.c_str(), body)->MinTime(0.02)->Repetitions(15)->Unit(benchmark::kMillisecond);
}

template <class Algorithm>
void compare(const std::string& name) {
  const auto both = [&]<class Number>(const std::string& what, Number) {
    add<Number>(what + "/coho", [](const inputs<Number>& in) { return Algorithm::own(in); });
    add<Number>(what + "/raw", [](const inputs<Number>& in) { return Algorithm::raw(in); });
  };
  both(name + " double", double{});
  both(name + " float", float{});
}

[[maybe_unused]] const bool registered = [] {
#ifdef __GLIBC__
  // Results of some megabytes stay with the process: else what is measured is the pages that the system hands out anew.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
  compare<gae>("gae");
  compare<whiten>("whiten");
  compare<ppo_clip>("ppo_clip");
  compare<value_clip>("value_clip");
  compare<nll>("nll");
  compare<bradley_terry>("bradley_terry");
  compare<kl<coho::kl_estimator::k1>>("kl_k1");
  compare<kl<coho::kl_estimator::k2>>("kl_k2");
  compare<kl<coho::kl_estimator::k3>>("kl_k3");
  compare<shape_rewards>("shape_rewards");
  return true;
}();

}  // namespace
