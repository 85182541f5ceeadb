// Losses of pairs, single responses and rankings, with gradients and measures, against handwritten loops.
#include <coho/loss/bradley_terry.hpp>
#include <coho/loss/bradley_terry_ties.hpp>
#include <coho/loss/cpo.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/kto.hpp>
#include <coho/loss/orpo.hpp>
#include <coho/loss/plackett_luce.hpp>
#include <coho/loss/simpo.hpp>

#include "algorithms.hpp"

namespace coho::bench {
namespace {

// For one pair, handwritten.
struct pair {
  double loss, d_first, d_second, z;
};

// log(1 + e^−z) and its derivative share one exponential.
inline pair logistic(double z) {
  const double e = std::exp(-std::abs(z)), slope = -(z < 0 ? 1 : e) / (1 + e);
  return {(z < 0 ? -z : 0) + std::log1p(e), slope, -slope, z};
}

// The handwritten loop around the formula of a pair.
template <class Number>
auto over_pairs(const inputs<Number>& in, auto formula) {
  array<Number> first(in.tokens()), second(in.tokens());
  double loss = 0, right = 0, margin = 0, count = 0;
  for (std::size_t i = 0; i < in.tokens(); ++i) {
    const double w = in.weights.values.data()[i];
    if (w == 0) {
      first.data()[i] = second.data()[i] = 0;
      continue;
    }
    const pair p = formula(i);
    loss += w * p.loss;
    right += p.z > 0 ? 1.0 : (p.z < 0 ? 0.0 : 0.5);
    margin += p.z;
    count += 1;
    first.data()[i] = static_cast<Number>(w * p.d_first);
    second.data()[i] = static_cast<Number>(w * p.d_second);
  }
  return std::tuple(loss, std::move(first), std::move(second), right / count, margin / count);
}
auto numbers(auto r) {
  return std::tuple(r.value, std::move(r.d_chosen), std::move(r.d_rejected), r.accuracy, r.margin);
}

struct bradley_terry {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> first(in.tokens()), second(in.tokens());
    double loss = 0, right = 0, count = 0;
    for (std::size_t i = 0; i < in.tokens(); ++i) {
      const double w = in.weights.values.data()[i];
      if (w == 0) {
        first.data()[i] = second.data()[i] = 0;
        continue;
      }
      const double z = static_cast<double>(in.values.data()[i]) - in.returns.data()[i], e = std::exp(-std::abs(z));
      loss += w * ((z < 0 ? -z : 0) + std::log1p(e));
      right += z > 0 ? 1.0 : (z < 0 ? 0.0 : 0.5);
      count += 1;
      const double slope = -w * (z < 0 ? 1 : e) / (1 + e);
      first.data()[i] = static_cast<Number>(slope);
      second.data()[i] = static_cast<Number>(-slope);
    }
    return std::tuple(loss, std::move(first), std::move(second), right / count);
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    auto r = bradley_terry_loss{}.value_and_grad(
        pair_loss_inputs<Number>{.chosen = in.values, .rejected = in.returns, .weights = in.weights});
    return std::tuple(r.value, std::move(r.d_chosen), std::move(r.d_rejected), r.accuracy);
  }
};

template <tie_form Form>
struct bradley_terry_ties {
  static constexpr double theta = 2, nu = 1;

  // log P of an outcome and its derivative, times −1.
  static pair term(double d, double outcome) {
    if constexpr (Form == tie_form::rao_kupper) {
      const double limit = std::log(theta);
      const pair win = logistic(d - limit), loss = logistic(-d - limit);
      if (outcome == 1) return {win.loss, win.d_first, 0, d};
      if (outcome == 0) return {loss.loss, -loss.d_first, 0, d};
      return {win.loss + loss.loss - std::log(theta * theta - 1), win.d_first - loss.d_first, 0, d};
    } else {
      const double h = std::exp(0.5 * d), total = h + nu + 1 / h;
      const double slope = 0.5 * (h - 1 / h) / total;  // of log total
      if (outcome == 1) return {std::log(total) - 0.5 * d, slope - 0.5, 0, d};
      if (outcome == 0) return {std::log(total) + 0.5 * d, slope + 0.5, 0, d};
      return {std::log(total) - std::log(nu), slope, 0, d};
    }
  }
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> first(in.tokens()), second(in.tokens());
    double loss = 0, right = 0, count = 0;
    for (std::size_t i = 0; i < in.tokens(); ++i) {
      const double w = in.weights.values.data()[i];
      if (w == 0) {
        first.data()[i] = second.data()[i] = 0;
        continue;
      }
      const double outcome = in.outcomes.data()[i];
      const pair p = term(static_cast<double>(in.values.data()[i]) - in.returns.data()[i], outcome);
      loss += w * p.loss;
      const double ordered = p.z * (outcome - 0.5);
      right += ordered > 0 ? 1.0 : (ordered < 0 ? 0.0 : 0.5);
      count += 1;
      first.data()[i] = static_cast<Number>(w * p.d_first);
      second.data()[i] = static_cast<Number>(-w * p.d_first);
    }
    return std::tuple(loss, std::move(first), std::move(second), right / count);
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    const bradley_terry_ties_loss loss{{.form = Form, .theta = theta, .nu = nu}};
    auto r = loss.value_and_grad(pair_loss_inputs<Number>{
        .chosen = in.values, .rejected = in.returns, .targets = in.outcomes, .weights = in.weights});
    return std::tuple(r.value, std::move(r.d_chosen), std::move(r.d_rejected), r.accuracy);
  }
};

template <dpo_form Form>
struct dpo {
  static constexpr double beta = 0.5, epsilon = Form == dpo_form::conservative || Form == dpo_form::robust ? 0.1 : 0;
  static auto raw(const auto& in) {
    return over_pairs(in, [&](std::size_t i) -> pair {
      const double chosen = static_cast<double>(in.log_probs.data()[i]) - in.reference.data()[i];
      const double rejected = static_cast<double>(in.other.data()[i]) - in.other_reference.data()[i];
      const double z = beta * (chosen - rejected);
      double loss, slope;
      if constexpr (Form == dpo_form::hinge) {
        loss = z < 1 ? 1 - z : 0;
        slope = z < 1 ? -beta : 0;
      } else if constexpr (Form == dpo_form::ipo) {
        const double error = z / beta - 1 / (2 * beta);
        loss = error * error;
        slope = 2 * error;
      } else {
        // log σ(−z) is log σ(z) − z; its derivative differs by 1.
        const pair right = logistic(z);
        const double sign = Form == dpo_form::robust ? -1 : 1;
        const double scale = Form == dpo_form::robust ? 1 / (1 - 2 * epsilon) : 1;
        loss = scale * ((1 - epsilon) * right.loss + sign * epsilon * (right.loss + z));
        slope = scale * beta * ((1 - epsilon) * right.d_first + sign * epsilon * (right.d_first + 1));
      }
      return {loss, slope, -slope, z};
    });
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    const dpo_loss loss{{.beta = beta, .form = Form, .label_smoothing = epsilon}};
    return numbers(loss.value_and_grad(preference_loss_inputs<Number>{.chosen = in.log_probs,
                                                                      .rejected = in.other,
                                                                      .reference_chosen = in.reference,
                                                                      .reference_rejected = in.other_reference,
                                                                      .weights = in.weights}));
  }
};

struct kto {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.tokens());
    double loss = 0, right = 0, margin = 0, count = 0;
    for (std::size_t i = 0; i < in.tokens(); ++i) {
      const double w = in.weights.values.data()[i];
      if (w == 0) {
        gradient.data()[i] = 0;
        continue;
      }
      const double r = static_cast<double>(in.log_probs.data()[i]) - in.reference.data()[i] - 0.05;
      const bool wanted = in.desirable.data()[i] != 0;
      const double z = 0.5 * (wanted ? r : -r), scale = wanted ? 1.0 : 1.2, s = 1 / (1 + std::exp(z));
      loss += w * scale * s;
      right += z > 0 ? 1.0 : (z < 0 ? 0.0 : 0.5);
      margin += z;
      count += 1;
      gradient.data()[i] = static_cast<Number>(-w * 0.5 * (wanted ? 1 : -1) * scale * s * (1 - s));
    }
    return std::tuple(loss, std::move(gradient), right / count, margin / count);
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    const kto_loss loss{{.beta = 0.5, .undesirable_weight = 1.2}};
    auto r = loss.value_and_grad(kto_loss_inputs<Number>{.log_probs = in.log_probs,
                                                         .reference_log_probs = in.reference,
                                                         .desirable = in.desirable,
                                                         .kl_baseline = 0.05,
                                                         .weights = in.weights});
    return std::tuple(r.value, std::move(r.d_log_probs), r.accuracy, r.margin);
  }
};

struct orpo {
  static auto raw(const auto& in) {
    return over_pairs(in, [&](std::size_t i) -> pair {
      const double first = in.log_probs.data()[i], second = in.other.data()[i];
      const double p = std::exp(first), q = std::exp(second);
      const double z = first - std::log1p(-p) - (second - std::log1p(-q));
      const pair term = logistic(z);
      return {0.1 * term.loss - first, 0.1 * term.d_first / (1 - p) - 1, -0.1 * term.d_first / (1 - q), z};
    });
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    return numbers(orpo_loss{{.lambda = 0.1}}.value_and_grad(
        preference_loss_inputs<Number>{.chosen = in.log_probs, .rejected = in.other, .weights = in.weights}));
  }
};

struct simpo {
  static auto raw(const auto& in) {
    return over_pairs(in, [&](std::size_t i) -> pair {
      const double margin = 2.0 * (static_cast<double>(in.log_probs.data()[i]) - in.other.data()[i]);
      const pair term = logistic(margin - 0.5);
      return {term.loss, 2.0 * term.d_first, -2.0 * term.d_first, margin};
    });
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    return numbers(simpo_loss{{.beta = 2, .gamma = 0.5}}.value_and_grad(
        preference_loss_inputs<Number>{.chosen = in.log_probs, .rejected = in.other, .weights = in.weights}));
  }
};

struct cpo {
  static auto raw(const auto& in) {
    return over_pairs(in, [&](std::size_t i) -> pair {
      const double first = in.log_probs.data()[i], z = 0.1 * (first - in.other.data()[i]);
      const pair term = logistic(z);
      const double pull = -1 / std::max<double>(in.lengths.data()[i], 1);
      return {term.loss + pull * first, 0.1 * term.d_first + pull, -0.1 * term.d_first, z};
    });
  }
  template <class Number>
  static auto own(const inputs<Number>& in) {
    return numbers(cpo_loss{{.beta = 0.1}}.value_and_grad(preference_loss_inputs<Number>{
        .chosen = in.log_probs, .rejected = in.other, .chosen_tokens = in.lengths, .weights = in.weights}));
  }
};

struct plackett_luce {
  template <class Number>
  static auto raw(const inputs<Number>& in) {
    array<Number> gradient(in.values.size());
    const Number* const s = in.values.data();
    const double weight = 1 / static_cast<double>(in.rankings.size() - 1);
    std::vector<double> odds, rest;
    double loss = 0, right = 0, pairs = 0;
    for (std::size_t g = 0; g + 1 < in.rankings.size(); ++g) {
      const std::size_t begin = in.rankings[g], n = in.rankings[g + 1] - begin;
      const double highest = *std::max_element(s + begin, s + begin + n);
      odds.resize(n);
      rest.resize(n);
      double sum = 0, passed = 0;
      for (std::size_t k = n; k-- > 0;) rest[k] = sum += odds[k] = std::exp(s[begin + k] - highest);
      for (std::size_t k = 0; k < n; ++k) {
        const bool choice = k + 1 < n;
        if (choice) loss += weight * (std::log(rest[k]) + highest - s[begin + k]), passed += 1 / rest[k];
        gradient.data()[begin + k] = static_cast<Number>(weight * (odds[k] * passed - choice));
        for (std::size_t j = k + 1; j < n; ++j, ++pairs)
          right += s[begin + k] > s[begin + j] ? 1.0 : (s[begin + k] < s[begin + j] ? 0.0 : 0.5);
      }
    }
    return std::tuple(loss, std::move(gradient), right / pairs);
  }
  static auto own(const auto& in) {
    auto r = plackett_luce_loss{}.value_and_grad(in.values, in.rankings);
    return std::tuple(r.value, std::move(r.d_scores), r.accuracy);
  }
};

[[maybe_unused]] const bool registered = [] {
  compare<bradley_terry>("bradley_terry");
  compare<bradley_terry_ties<tie_form::rao_kupper>>("ties, Rao-Kupper");
  compare<bradley_terry_ties<tie_form::davidson>>("ties, Davidson");
  compare<dpo<dpo_form::sigmoid>>("dpo sigmoid");
  compare<dpo<dpo_form::hinge>>("dpo hinge");
  compare<dpo<dpo_form::ipo>>("dpo ipo");
  compare<dpo<dpo_form::conservative>>("dpo conservative");
  compare<dpo<dpo_form::robust>>("dpo robust");
  compare<kto>("kto");
  compare<orpo>("orpo");
  compare<simpo>("simpo");
  compare<cpo>("cpo");
  compare<plackett_luce>("plackett_luce of 4");
  return true;
}();

}  // namespace
}  // namespace coho::bench
