#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <Eigen/Core>
#include <benchmark/benchmark.h>

#include <coho/reduce.hpp>
#include <coho/rng.hpp>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/// For benchmarks that compare an algorithm with a handwritten loop, on 512 responses of 1,024 tokens (or as many
/// pairs), one thread, double and float.
namespace coho::bench {

inline constexpr std::size_t sequences = 512, length = 1024, group_size = 4;

template <class Number>
using array = Eigen::Array<Number, Eigen::Dynamic, 1>;

template <class Number>
struct inputs {
  std::vector<std::size_t> offsets, groups;  // tokens of sequences; responses of prompts
  std::vector<std::size_t> rankings;         // elements of groups of four
  std::vector<std::uint8_t> mask = std::vector<std::uint8_t>(sequences * length, 1);
  // Log-probs of the policy, an older policy, the reference and another response.
  array<Number> log_probs, old_log_probs, reference, other, other_reference;
  array<Number> advantages, values, old_values, returns, entropy, token_rewards;
  array<Number> outcomes, desirable, lengths;  // of pairs or single responses
  array<Number> rewards, greedy_rewards;       // one per sequence
  token_weights<Eigen::ArrayXd> weights;       // Σ = 1 over real tokens

  inputs() {
    rng random(1);
    const auto normal = [&](double scale, const array<Number>* around = nullptr) {
      array<Number> out(static_cast<Eigen::Index>(sequences * length));
      for (Eigen::Index i = 0; i < out.size(); ++i)
        out[i] = static_cast<Number>(scale * random.normal()) + (around ? (*around)[i] : Number(0));
      return out;
    };
    log_probs = -normal(1).abs() - Number(0.01);
    old_log_probs = normal(0.2, &log_probs);
    reference = normal(0.3, &log_probs);
    other = -normal(1).abs() - Number(0.01);
    other_reference = normal(0.3, &other);
    advantages = normal(1);
    values = normal(0.5);
    old_values = normal(0.2, &values);
    returns = normal(0.5, &values);
    entropy = normal(1).abs();
    token_rewards = normal(0.1);
    rewards = normal(1).head(sequences);
    greedy_rewards = normal(1).head(sequences);
    outcomes.resize(log_probs.size());
    desirable.resize(log_probs.size());
    lengths.resize(log_probs.size());
    for (Eigen::Index i = 0; i < outcomes.size(); ++i) {
      outcomes[i] = Number(0.5) * static_cast<Number>(random.index(3));
      desirable[i] = static_cast<Number>(random.index(2));
      lengths[i] = static_cast<Number>(1 + random.index(length));
    }
    for (std::size_t i = 0; i <= sequences; ++i) offsets.push_back(i * length);
    for (std::size_t i = 0; i <= sequences; i += group_size) groups.push_back(i);
    for (std::size_t i = 0; i <= sequences * length; i += group_size) rankings.push_back(i);
    // Padding at the end of each response, as in real batches.
    for (std::size_t i = 0; i < sequences; ++i) {
      const std::size_t real = length / 2 + random.index(length / 2);
      std::fill_n(mask.begin() + static_cast<std::ptrdiff_t>(i * length + real), length - real, std::uint8_t{0});
    }
    weights = make_token_weights(mask, offsets);
  }
  // Loops over it do not know the length at compile time.
  std::size_t tokens() const { return offsets.back(); }

  static const inputs& get() {
    static const inputs made;
    return made;
  }
};

inline bool agree(double x, double y, double tolerance) { return std::abs(x - y) <= tolerance * std::abs(y) + 1e-13; }
template <class Derived, class Other>
bool agree(const Eigen::ArrayBase<Derived>& x, const Eigen::ArrayBase<Other>& y, double tolerance) {
  if (x.size() != y.size()) return false;
  if (x.size() == 0) return true;
  const auto a = x.template cast<double>(), b = y.template cast<double>();
  return (a - b).abs().maxCoeff() <= tolerance * b.abs().maxCoeff();
}
template <class... X, class... Y>
bool agree(const std::tuple<X...>& x, const std::tuple<Y...>& y, double tolerance) {
  static_assert(sizeof...(X) == sizeof...(Y), "both sides must give the same results");
  return [&]<std::size_t... Is>(std::index_sequence<Is...>) {
    return (agree(std::get<Is>(x), std::get<Is>(y), tolerance) && ...);
  }(std::index_sequence_for<X...>{});
}

/// Registers one side; its results are compared with the other side's before it is timed.
template <class Number>
void add(const std::string& name, auto run, auto other) {
  const auto body = [run, other](benchmark::State& state) {
    const auto& in = inputs<Number>::get();
    static const bool same = agree(run(in), other(in), std::same_as<Number, double> ? 1e-9 : 1e-4);
    if (!same) return state.SkipWithError("coho and the handwritten loop give different numbers");
    for (auto _ : state) {
      const auto result = run(in);
      const void* escaped = &result;
      benchmark::DoNotOptimize(escaped);
      benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(in.tokens()));
  };
  benchmark::RegisterBenchmark(name.c_str(), body)->MinTime(0.01)->Repetitions(21)->Unit(benchmark::kMillisecond);
}

/// An algorithm has static functions `own` (coho) and `raw` (the handwritten loop); both return a std::tuple of the
/// same numbers and arrays.
template <class Algorithm>
void compare(const std::string& name) {
#ifdef __GLIBC__
  // Keeps results of several megabytes in the process; otherwise the benchmark would measure fresh pages from the
  // system.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
  const auto both = [&]<class Number>(const std::string& what, Number) {
    // Separate functions, like calls from a trainer, not merged with Google Benchmark's loop.
    const auto own = [] [[gnu::noinline]] (const inputs<Number>& in) { return Algorithm::own(in); };
    const auto raw = [] [[gnu::noinline]] (const inputs<Number>& in) { return Algorithm::raw(in); };
    add<Number>(what + "/coho", own, raw);
    add<Number>(what + "/raw", raw, own);
  };
  both(name + " double", double{});
  both(name + " float", float{});
}

}  // namespace coho::bench
