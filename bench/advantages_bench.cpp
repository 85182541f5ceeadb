// Advantages and whitening against the loops that one would write by hand for them.
#include <coho/advantage/gae.hpp>
#include <coho/advantage/group_relative.hpp>
#include <coho/advantage/lambda_returns.hpp>
#include <coho/advantage/leave_one_out.hpp>
#include <coho/advantage/reinforce_plus_plus.hpp>
#include <coho/advantage/remax.hpp>
#include <coho/advantage/return_to_go.hpp>
#include <coho/advantage/whiten.hpp>

#include "algorithms.hpp"

namespace coho::bench {
namespace {

constexpr gae_options discounts{.gamma = 0.99, .lambda = 0.95};

struct gae {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> advantages(in.tokens()), returns(in.tokens());
    const Number *const r = in.token_rewards.data(), *const v = in.values.data();
    Number *const a = advantages.data(), *const g = returns.data();
    for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
      double next_value = 0, next = 0;
      for (std::size_t t = in.offsets[i + 1]; t-- > in.offsets[i];) {
        const double value = v[t];
        next = r[t] + 0.99 * next_value - value + 0.99 * 0.95 * next;
        next_value = value;
        a[t] = static_cast<Number>(next);
        g[t] = static_cast<Number>(next + value);
      }
    }
    return std::tuple(std::move(advantages), std::move(returns));
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    auto result = coho::gae(
        advantage_inputs<Number>{.rewards = in.token_rewards, .values = in.values, .offsets = in.offsets}, discounts);
    return std::tuple(std::move(result.advantages), std::move(result.returns));
  }
};

struct gae_masked {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> advantages(in.tokens()), returns(in.tokens());
    const Number *const r = in.token_rewards.data(), *const v = in.values.data();
    Number *const a = advantages.data(), *const g = returns.data();
    for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
      double next_value = 0, next = 0;
      for (std::size_t t = in.offsets[i + 1]; t-- > in.offsets[i];) {
        if (in.mask[t] == 0) {
          a[t] = g[t] = 0;
          continue;
        }
        const double value = v[t];
        next = r[t] + 0.99 * next_value - value + 0.99 * 0.95 * next;
        next_value = value;
        a[t] = static_cast<Number>(next);
        g[t] = static_cast<Number>(next + value);
      }
    }
    return std::tuple(std::move(advantages), std::move(returns));
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    auto result = coho::gae(
        advantage_inputs<Number>{
            .rewards = in.token_rewards, .values = in.values, .mask = in.mask, .offsets = in.offsets},
        discounts);
    return std::tuple(std::move(result.advantages), std::move(result.returns));
  }
};

struct lambda_returns {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> out(in.tokens());
    const Number *const r = in.token_rewards.data(), *const v = in.values.data();
    for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
      double next_value = 0, next = 0;
      for (std::size_t t = in.offsets[i + 1]; t-- > in.offsets[i];) {
        next = r[t] + 0.99 * (0.05 * next_value + 0.95 * next);
        next_value = v[t];
        out.data()[t] = static_cast<Number>(next);
      }
    }
    return std::tuple(std::move(out));
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    return std::tuple(coho::lambda_returns(
        advantage_inputs<Number>{.rewards = in.token_rewards, .values = in.values, .offsets = in.offsets}, discounts));
  }
};

template <class Number>
array<Number> discounted(const inputs<Number>& in) {
  array<Number> out(in.tokens());
  const Number* const r = in.token_rewards.data();
  for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
    double next = 0;
    for (std::size_t t = in.offsets[i + 1]; t-- > in.offsets[i];) {
      next = r[t] + 0.99 * next;
      out.data()[t] = static_cast<Number>(next);
    }
  }
  return out;
}

template <class Number>
array<Number> whitened(const array<Number>& x, const std::uint8_t* mask) {
  const auto size = static_cast<std::size_t>(x.size());
  double sum = 0, squares = 0, n = 0;
  for (std::size_t t = 0; t < size; ++t) {
    if (mask[t]) sum += x.data()[t], n += 1;
  }
  const double mean = sum / n;
  for (std::size_t t = 0; t < size; ++t) {
    if (mask[t]) squares += (x.data()[t] - mean) * (x.data()[t] - mean);
  }
  const double factor = 1 / (std::sqrt(squares / n) + 1e-8);
  array<Number> out(x.size());
  for (std::size_t t = 0; t < size; ++t)
    out.data()[t] = mask[t] ? static_cast<Number>((x.data()[t] - mean) * factor) : Number(0);
  return out;
}

struct return_to_go {
  static auto raw(const auto& in) { return std::tuple(discounted(in)); }
  static auto own(const auto& in) {
    return std::tuple(coho::return_to_go(in.token_rewards, in.offsets, {.gamma = 0.99}));
  }
};

struct whiten {
  static auto raw(const auto& in) { return std::tuple(whitened(in.advantages, in.mask.data())); }
  static auto own(const auto& in) { return std::tuple(coho::whiten(in.advantages, in.mask)); }
};

struct reinforce_plus_plus {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> returns(in.tokens());
    const Number* const r = in.token_rewards.data();
    for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
      double next = 0;
      for (std::size_t t = in.offsets[i + 1]; t-- > in.offsets[i];) {
        if (in.mask[t]) next = r[t] + 0.99 * next;
        returns.data()[t] = in.mask[t] ? static_cast<Number>(next) : Number(0);
      }
    }
    return std::tuple(whitened(returns, in.mask.data()));
  }
  static auto own(const auto& in) {
    return std::tuple(coho::reinforce_plus_plus(in.token_rewards, in.mask, in.offsets, {.gamma = 0.99}));
  }
};

// The rest is of rewards of responses, four to a prompt.
struct leave_one_out {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> advantages(in.token_rewards.size()), baselines(in.token_rewards.size());
    const Number* const r = in.token_rewards.data();
    for (std::size_t g = 0; g + 1 < in.rankings.size(); ++g) {
      double sum = 0;
      for (std::size_t i = in.rankings[g]; i < in.rankings[g + 1]; ++i) sum += r[i];
      const double others = static_cast<double>(in.rankings[g + 1] - in.rankings[g]) - 1;
      for (std::size_t i = in.rankings[g]; i < in.rankings[g + 1]; ++i) {
        const double baseline = (sum - r[i]) / others;
        baselines.data()[i] = static_cast<Number>(baseline);
        advantages.data()[i] = static_cast<Number>(r[i] - baseline);
      }
    }
    return std::tuple(std::move(advantages), std::move(baselines));
  }
  static auto own(const auto& in) {
    auto result = coho::leave_one_out(in.token_rewards, in.rankings);
    return std::tuple(std::move(result.advantages), std::move(result.baselines));
  }
};

struct group_relative {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> out(in.token_rewards.size());
    const Number* const r = in.token_rewards.data();
    for (std::size_t g = 0; g + 1 < in.rankings.size(); ++g) {
      const double n = static_cast<double>(in.rankings[g + 1] - in.rankings[g]);
      double sum = 0, squares = 0;
      for (std::size_t i = in.rankings[g]; i < in.rankings[g + 1]; ++i) sum += r[i];
      const double mean = sum / n;
      for (std::size_t i = in.rankings[g]; i < in.rankings[g + 1]; ++i) squares += (r[i] - mean) * (r[i] - mean);
      const double factor = 1 / (std::sqrt(squares / (n - 1)) + 1e-4);
      for (std::size_t i = in.rankings[g]; i < in.rankings[g + 1]; ++i)
        out.data()[i] = static_cast<Number>((r[i] - mean) * factor);
    }
    return std::tuple(std::move(out));
  }
  static auto own(const auto& in) { return std::tuple(coho::group_relative(in.token_rewards, in.rankings)); }
};

struct remax {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> out(in.tokens());
    const Number *const r = in.returns.data(), *const greedy = in.values.data();
    for (std::size_t i = 0; i < in.tokens(); ++i)
      out.data()[i] = static_cast<Number>(static_cast<double>(r[i]) - greedy[i]);
    return std::tuple(std::move(out));
  }
  static auto own(const auto& in) { return std::tuple(coho::remax(in.returns, in.values)); }
};

[[maybe_unused]] const bool registered = [] {
  compare<gae>("gae");
  compare<gae_masked>("gae masked");
  compare<lambda_returns>("lambda_returns");
  compare<return_to_go>("return_to_go");
  compare<whiten>("whiten");
  compare<reinforce_plus_plus>("reinforce_plus_plus");
  compare<leave_one_out>("leave_one_out");
  compare<group_relative>("group_relative");
  compare<remax>("remax");
  return true;
}();

}  // namespace
}  // namespace coho::bench
