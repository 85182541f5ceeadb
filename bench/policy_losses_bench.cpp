// Token losses, with gradients and measures, against handwritten loops.
#include <coho/loss/cispo.hpp>
#include <coho/loss/dppo.hpp>
#include <coho/loss/entropy_bonus.hpp>
#include <coho/loss/gspo.hpp>
#include <coho/loss/huber_value.hpp>
#include <coho/loss/nll.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/reinforce.hpp>
#include <coho/loss/sapo.hpp>
#include <coho/loss/value_clip.hpp>

#include "algorithms.hpp"

namespace coho::bench {
namespace {

template <class Loss, class Number>
auto by_loss(const Loss& loss, const inputs<Number>& in) {
  auto r = loss.value_and_grad(policy_loss_inputs<Number>{.log_probs = in.log_probs,
                                                          .old_log_probs = in.old_log_probs,
                                                          .advantages = in.advantages,
                                                          .weights = in.weights,
                                                          .offsets = in.offsets});
  return std::tuple(r.value, std::move(r.d_log_probs), r.clip_fraction, r.approximate_kl, r.tokens);
}

struct ppo_clip {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.tokens());
    double loss = 0, clips = 0, kl = 0, count = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double w = in.weights.values.data()[t];
      if (w == 0) {
        gradient.data()[t] = 0;
        continue;
      }
      const Number log_ratio = in.log_probs.data()[t] - in.old_log_probs.data()[t], ratio = std::exp(log_ratio);
      const Number advantage = in.advantages.data()[t];
      const Number free = -advantage * ratio, clipped = -advantage * std::clamp(ratio, Number(0.8), Number(1.2));
      loss += w * std::max(free, clipped);
      kl += ratio - 1 - log_ratio;
      clips += free < clipped;
      count += 1;
      gradient.data()[t] = free >= clipped ? static_cast<Number>(w * free) : Number(0);
    }
    return std::tuple(loss, std::move(gradient), clips / count, kl / count, count);
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    return by_loss(ppo_clip_loss{}, in);
  }
};

struct gspo {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.tokens());
    const double* const weight = in.weights.values.data();
    const Number *const p = in.log_probs.data(), *const q = in.old_log_probs.data(), *const a = in.advantages.data();
    double loss = 0, clips = 0, kl = 0, count = 0;
    for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
      double total = 0, n = 0, slope = 0;
      for (std::size_t t = in.offsets[i]; t < in.offsets[i + 1]; ++t) {
        if (weight[t] == 0) continue;
        const double log_ratio = static_cast<double>(p[t]) - q[t];
        total += log_ratio;
        n += 1;
        kl += std::expm1(log_ratio) - log_ratio;
      }
      const double ratio = std::exp(total / n), bounded = std::clamp(ratio, 1 - 3e-4, 1 + 4e-4);
      for (std::size_t t = in.offsets[i]; t < in.offsets[i + 1]; ++t) {
        if (weight[t] == 0) continue;
        const double free = -a[t] * ratio, clipped = -a[t] * bounded;
        loss += weight[t] * std::max(free, clipped);
        if (clipped > free)
          clips += 1;
        else
          slope += weight[t] * free;
      }
      for (std::size_t t = in.offsets[i]; t < in.offsets[i + 1]; ++t)
        gradient.data()[t] = weight[t] != 0 ? static_cast<Number>(slope / n) : Number(0);
      count += n;
    }
    return std::tuple(loss, std::move(gradient), clips / count, kl / count, count);
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    return by_loss(gspo_loss{}, in);
  }
};

struct cispo {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    const double high = 1 + cispo_options{}.clip_high, low = 1 - cispo_options{}.clip_low;
    array<Number> gradient(in.tokens());
    double loss = 0, clips = 0, kl = 0, count = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double w = in.weights.values.data()[t];
      if (w == 0) {
        gradient.data()[t] = 0;
        continue;
      }
      const double log_prob = in.log_probs.data()[t], log_ratio = log_prob - in.old_log_probs.data()[t];
      const double ratio = std::exp(log_ratio), kept = std::clamp(ratio, low, high);
      const double slope = -in.advantages.data()[t] * kept;
      loss += w * slope * log_prob;
      clips += kept != ratio;
      kl += ratio - 1 - log_ratio;
      count += 1;
      gradient.data()[t] = static_cast<Number>(w * slope);
    }
    return std::tuple(loss, std::move(gradient), clips / count, kl / count, count);
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    return by_loss(cispo_loss{}, in);
  }
};

struct dppo {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    const dppo_options options;
    array<Number> gradient(in.tokens());
    double loss = 0, masked = 0, kl = 0, count = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double w = in.weights.values.data()[t];
      if (w == 0) {
        gradient.data()[t] = 0;
        continue;
      }
      const double log_prob = in.log_probs.data()[t], old = in.old_log_probs.data()[t], log_ratio = log_prob - old;
      const double ratio = std::exp(log_ratio), moved = std::exp(log_prob) - std::exp(old);
      const double advantage = in.advantages.data()[t];
      const bool out = advantage > 0 ? moved > options.limit_high : -moved > options.limit_low;
      const double slope = out ? 0 : -advantage * std::min(ratio, options.ratio_limit);
      loss += w * slope * log_prob;
      masked += out;
      kl += ratio - 1 - log_ratio;
      count += 1;
      gradient.data()[t] = static_cast<Number>(w * slope);
    }
    return std::tuple(loss, std::move(gradient), masked / count, kl / count, count);
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    return by_loss(dppo_loss{}, in);
  }
};

struct sapo {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.tokens());
    double loss = 0, gates = 0, kl = 0, count = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double w = in.weights.values.data()[t];
      if (w == 0) {
        gradient.data()[t] = 0;
        continue;
      }
      const double log_ratio = static_cast<double>(in.log_probs.data()[t]) - in.old_log_probs.data()[t];
      const double ratio = std::exp(log_ratio), advantage = in.advantages.data()[t];
      const double temperature = advantage > 0 ? 1 : 1.05;
      const double sigma = 1 / (1 + std::exp(-temperature * (ratio - 1))), gate = 4 * sigma * (1 - sigma);
      loss -= w * advantage * sigma * 4 / temperature;
      gates += gate;
      kl += ratio - 1 - log_ratio;
      count += 1;
      gradient.data()[t] = static_cast<Number>(-w * advantage * ratio * gate);
    }
    return std::tuple(loss, std::move(gradient), gates / count, kl / count, count);
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    const auto r = sapo_loss{}.value_and_grad(policy_loss_inputs<Number>{.log_probs = in.log_probs,
                                                                         .old_log_probs = in.old_log_probs,
                                                                         .advantages = in.advantages,
                                                                         .weights = in.weights});
    return std::tuple(r.value, r.d_log_probs, r.gate, r.approximate_kl, r.tokens);
  }
};

struct reinforce {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.tokens());
    double loss = 0, count = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double w = in.weights.values.data()[t];
      if (w == 0) {
        gradient.data()[t] = 0;
        continue;
      }
      const double slope = -w * in.advantages.data()[t];
      loss += slope * in.log_probs.data()[t];
      count += 1;
      gradient.data()[t] = static_cast<Number>(slope);
    }
    return std::tuple(loss, std::move(gradient), count);
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    auto r = reinforce_loss{}.value_and_grad(
        policy_loss_inputs<Number>{.log_probs = in.log_probs, .advantages = in.advantages, .weights = in.weights});
    return std::tuple(r.value, std::move(r.d_log_probs), r.tokens);
  }
};

struct nll {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.tokens());
    double loss = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double w = in.weights.values.data()[t];
      if (w != 0) loss -= w * in.log_probs.data()[t];
      gradient.data()[t] = static_cast<Number>(-w);
    }
    return std::tuple(loss, std::move(gradient));
  }
  static auto own(const auto& in) {
    auto r = nll_loss{}.value_and_grad(in.log_probs, in.weights);
    return std::tuple(r.value, std::move(r.d_log_probs));
  }
};

struct value_clip {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.tokens());
    double loss = 0, clips = 0, count = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double w = in.weights.values.data()[t];
      if (w == 0) {
        gradient.data()[t] = 0;
        continue;
      }
      const Number v = in.values.data()[t], old = in.old_values.data()[t], target = in.returns.data()[t];
      const Number error = v - target, clipped = std::clamp(v, old - Number(0.2), old + Number(0.2)) - target;
      loss += w * 0.5 * std::max(error * error, clipped * clipped);
      clips += std::abs(v - old) > Number(0.2) && error * error < clipped * clipped;
      count += 1;
      gradient.data()[t] = error * error >= clipped * clipped ? static_cast<Number>(w * error) : Number(0);
    }
    return std::tuple(loss, std::move(gradient), clips / count, count);
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    auto r = value_clip_loss{}.value_and_grad(value_loss_inputs<Number>{
        .values = in.values, .old_values = in.old_values, .returns = in.returns, .weights = in.weights});
    return std::tuple(r.value, std::move(r.d_values), r.clip_fraction, r.tokens);
  }
};

struct huber_value {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.tokens());
    double loss = 0, clips = 0, count = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double w = in.weights.values.data()[t];
      if (w == 0) {
        gradient.data()[t] = 0;
        continue;
      }
      const double error = static_cast<double>(in.values.data()[t]) - in.returns.data()[t], size = std::abs(error);
      loss += w * (size <= 0.5 ? 0.5 * error * error : 0.5 * (size - 0.25));
      clips += size > 0.5;
      count += 1;
      gradient.data()[t] = static_cast<Number>(w * std::clamp(error, -0.5, 0.5));
    }
    return std::tuple(loss, std::move(gradient), clips / count, count);
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    const huber_value_loss loss{{.delta = 0.5}};
    auto r = loss.value_and_grad(value_loss_inputs<Number>{
        .values = in.values, .old_values = in.old_values, .returns = in.returns, .weights = in.weights});
    return std::tuple(r.value, std::move(r.d_values), r.clip_fraction, r.tokens);
  }
};

struct bonus {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.tokens());
    double loss = 0, total = 0, count = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double w = in.weights.values.data()[t];
      if (w == 0) {
        gradient.data()[t] = 0;
        continue;
      }
      const double entropy = in.entropy.data()[t];
      loss -= 0.01 * w * entropy;
      total += entropy;
      count += 1;
      gradient.data()[t] = static_cast<Number>(-0.01 * w);
    }
    return std::tuple(loss, std::move(gradient), total / count, count);
  }
  static auto own(const auto& in) {
    auto r = entropy_bonus{}.value_and_grad(in.entropy, in.weights);
    return std::tuple(r.value, std::move(r.d_entropy), r.entropy, r.tokens);
  }
};

[[maybe_unused]] const bool registered = [] {
  compare<ppo_clip>("ppo_clip");
  compare<gspo>("gspo");
  compare<cispo>("cispo");
  compare<dppo>("dppo");
  compare<sapo>("sapo");
  compare<reinforce>("reinforce");
  compare<nll>("nll");
  compare<value_clip>("value_clip");
  compare<huber_value>("huber_value");
  compare<bonus>("entropy_bonus");
  return true;
}();

}  // namespace
}  // namespace coho::bench
