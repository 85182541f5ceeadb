// KL estimates and penalties, rewards and importance weights against handwritten loops.
#include <coho/kl/estimators.hpp>
#include <coho/kl/exact.hpp>
#include <coho/kl/kl_loss.hpp>
#include <coho/reward/normalization.hpp>
#include <coho/reward/overlong.hpp>
#include <coho/reward/running_normalization.hpp>
#include <coho/reward/shaping.hpp>
#include <coho/rollout/importance_weights.hpp>

#include "algorithms.hpp"

namespace coho::bench {
namespace {

constexpr const char* names[] = {"k1", "k2", "k3", "absolute", "k1_clamped", "k3_straight_through"};

// The estimate and its derivative.
template <kl_estimator Estimator>
std::pair<double, double> estimate(double d) {
  if constexpr (Estimator == kl_estimator::k1) {
    return {d, 1};
  } else if constexpr (Estimator == kl_estimator::k2) {
    return {0.5 * d * d, d};
  } else if constexpr (Estimator == kl_estimator::absolute) {
    return {std::abs(d), d > 0 ? 1.0 : (d < 0 ? -1.0 : 0.0)};
  } else if constexpr (Estimator == kl_estimator::k1_clamped) {
    return {std::max(d, 0.0), d >= 0 ? 1.0 : 0.0};
  } else {
    const double e = std::expm1(-d);
    return {e + d, Estimator == kl_estimator::k3 ? -e : d};
  }
}

template <kl_estimator Estimator>
struct kl_estimates {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> out(in.tokens());
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double d = static_cast<double>(in.log_probs.data()[t]) - in.reference.data()[t];
      out.data()[t] = static_cast<Number>(estimate<Estimator>(d).first);
    }
    return std::tuple(std::move(out));
  }
  static auto own(const auto& in) { return std::tuple(kl_estimate(in.log_probs, in.reference, Estimator)); }
};

template <kl_estimator Estimator>
struct kl_penalty {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.tokens());
    double loss = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double w = in.weights.values.data()[t];
      if (w == 0) {
        gradient.data()[t] = 0;
        continue;
      }
      const auto [kl, slope] =
          estimate<Estimator>(static_cast<double>(in.log_probs.data()[t]) - in.reference.data()[t]);
      loss += w * kl;
      gradient.data()[t] = static_cast<Number>(w * slope);
    }
    return std::tuple(loss, std::move(gradient));
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    auto r = kl_loss{{.estimator = Estimator}}.value_and_grad(
        kl_loss_inputs<Number>{.log_probs = in.log_probs, .reference_log_probs = in.reference, .weights = in.weights});
    return std::tuple(r.value, std::move(r.d_log_probs));
  }
};

// 256 tokens with 2,048 words: as many numbers as there are tokens elsewhere.
struct exact {
  static constexpr std::size_t rows = 256, words = 2048;

  template <class Number>
  static const auto& tables(const inputs<Number>& in) {
    static const auto made = [&] {
      const auto normalised = [&](const array<Number>& x) {
        Eigen::Array<Number, Eigen::Dynamic, Eigen::Dynamic> out =
            Eigen::Map<const Eigen::Array<Number, Eigen::Dynamic, Eigen::Dynamic>>(x.data(), words, rows);
        for (Eigen::Index t = 0; t < out.cols(); ++t) out.col(t) -= std::log(out.col(t).exp().sum());
        return out;
      };
      return std::tuple(normalised(in.log_probs), normalised(in.reference),
                        token_weights<Eigen::ArrayXd>{Eigen::ArrayXd::Constant(rows, 1.0 / rows)});
    }();
    return made;
  }
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    const auto& [p, q, weights] = tables(in);
    Eigen::Array<Number, Eigen::Dynamic, Eigen::Dynamic> gradient(p.rows(), p.cols());
    double value = 0;
    const auto width = static_cast<std::size_t>(p.rows()), count = static_cast<std::size_t>(p.cols());
    for (std::size_t t = 0; t < count; ++t) {
      const Number *const a = p.data() + t * width, *const b = q.data() + t * width;
      Number* const to = gradient.data() + t * width;
      double kl = 0;
      for (std::size_t v = 0; v < width; ++v)
        kl += std::exp(static_cast<double>(a[v])) * (static_cast<double>(a[v]) - b[v]);
      const double w = weights.values.data()[t];
      value += w * kl;
      for (std::size_t v = 0; v < width; ++v)
        to[v] = static_cast<Number>(w * std::exp(static_cast<double>(a[v])) * (static_cast<double>(a[v]) - b[v] - kl));
    }
    return std::tuple(value, std::move(gradient));
  }
  static auto own(const auto& in) {
    const auto& [p, q, weights] = tables(in);
    auto r = exact_kl.value_and_grad(p, q, weights);
    return std::tuple(r.value, std::move(r.d_logits));
  }
};

struct shape {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<double> out(in.tokens());
    for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
      for (std::size_t t = in.offsets[i]; t < in.offsets[i + 1]; ++t)
        out.data()[t] = -0.02 * (static_cast<double>(in.log_probs.data()[t]) - in.reference.data()[t]);
      out.data()[in.offsets[i + 1] - 1] += in.rewards.data()[i];
    }
    return std::tuple(std::move(out));
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    return std::tuple(shape_rewards(shape_rewards_inputs<Number>{.sequence_rewards = in.rewards,
                                                                 .log_probs = in.log_probs,
                                                                 .reference_log_probs = in.reference,
                                                                 .offsets = in.offsets},
                                    shaping_options::paper()));
  }
};

struct shape_masked {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<double> out(in.tokens());
    for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
      std::size_t last = in.offsets[i];
      for (std::size_t t = in.offsets[i]; t < in.offsets[i + 1]; ++t) {
        const double d = static_cast<double>(in.log_probs.data()[t]) - in.reference.data()[t];
        out.data()[t] = in.mask[t] ? -0.02 * d : 0.0;
        if (in.mask[t]) last = t;
      }
      out.data()[last] += in.rewards.data()[i];
    }
    return std::tuple(std::move(out));
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    return std::tuple(shape_rewards(shape_rewards_inputs<Number>{.sequence_rewards = in.rewards,
                                                                 .log_probs = in.log_probs,
                                                                 .reference_log_probs = in.reference,
                                                                 .mask = in.mask,
                                                                 .offsets = in.offsets},
                                    shaping_options::paper()));
  }
};

struct normalize {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> out(in.tokens());
    for (std::size_t t = 0; t < in.tokens(); ++t)
      out.data()[t] = static_cast<Number>(std::clamp((in.values.data()[t] - 0.1) / 0.7, -1.0, 1.0));
    return std::tuple(std::move(out));
  }
  static auto own(const auto& in) {
    return std::tuple(normalize_rewards(in.values, {.mean = 0.1, .deviation = 0.7, .clip = 1}));
  }
};

struct normalize_running {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    double sum = 0, squares = 0;
    const double n = static_cast<double>(in.tokens());
    for (std::size_t t = 0; t < in.tokens(); ++t) sum += in.values.data()[t];
    const double mean = sum / n;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const double difference = in.values.data()[t] - mean;
      squares += difference * difference;
    }
    const double factor = 1 / (std::sqrt(squares / n) + 1e-8);
    array<Number> out(in.tokens());
    for (std::size_t t = 0; t < in.tokens(); ++t)
      out.data()[t] = static_cast<Number>(std::clamp((in.values.data()[t] - mean) * factor, -2.0, 2.0));
    return std::tuple(std::move(out));
  }
  static auto own(const auto& in) { return std::tuple(running_normalization{{.clip = 2}}(in.values)); }
};

struct overlong {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> out(in.tokens());
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      const auto n = static_cast<std::size_t>(in.lengths.data()[t]);
      out.data()[t] = static_cast<Number>(-std::clamp((static_cast<double>(n) - 768) / 256, 0.0, 1.0));
    }
    return std::tuple(std::move(out));
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    const overlong_penalty penalty{{.max_response_tokens = 1024, .cache_tokens = 256}};
    array<Number> out(in.tokens());
    for (std::size_t t = 0; t < in.tokens(); ++t)
      out.data()[t] = static_cast<Number>(penalty(static_cast<std::size_t>(in.lengths.data()[t])));
    return std::tuple(std::move(out));
  }
};

struct importance {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> out(in.tokens());
    double sum = 0, squares = 0, limited = 0, count = 0;
    for (std::size_t t = 0; t < in.tokens(); ++t) {
      if (in.mask[t] == 0) {
        out.data()[t] = 0;
        continue;
      }
      const double ratio = std::exp(static_cast<double>(in.log_probs.data()[t]) - in.old_log_probs.data()[t]);
      const double weight = std::min(ratio, 1.5);
      out.data()[t] = static_cast<Number>(weight);
      sum += weight;
      squares += weight * weight;
      limited += weight != ratio;
      count += 1;
    }
    return std::tuple(std::move(out), sum / count, limited / count, sum * sum / squares, count);
  }
  static auto own(const auto& in) {
    auto r = importance_weights(in.log_probs, in.old_log_probs, in.mask, in.offsets, {.high = 1.5});
    return std::tuple(std::move(r.weights), r.mean_weight, r.limited_fraction, r.effective_sample_size, r.tokens);
  }
};

template <kl_estimator... Estimators>
void compare_estimators() {
  const auto name = [](kl_estimator e) { return std::string(names[static_cast<int>(e)]); };
  (compare<kl_estimates<Estimators>>("kl_estimate " + name(Estimators)), ...);
  (compare<kl_penalty<Estimators>>("kl_loss " + name(Estimators)), ...);
}

[[maybe_unused]] const bool registered = [] {
  using enum kl_estimator;
  compare_estimators<k1, k2, k3, absolute, k1_clamped, k3_straight_through>();
  compare<exact>("exact_kl");
  compare<shape>("shape_rewards");
  compare<shape_masked>("shape_rewards masked");
  compare<normalize>("normalize_rewards");
  compare<normalize_running>("running_normalization");
  compare<overlong>("overlong_penalty");
  compare<importance>("importance_weights");
  return true;
}();

}  // namespace
}  // namespace coho::bench
