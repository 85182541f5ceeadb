#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <coho/check_lengths.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/loss/detail/preference_terms.hpp>
#include <coho/loss/detail/results.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct plackett_luce_options {
  std::size_t top = 0;  ///< only the first `top` places of each ranking count, the rest are unordered; 0: all places
};

template <class Value, class Array>
struct plackett_luce_result {
  Value value;     ///< the loss
  Array d_scores;  ///< its gradient
  Value accuracy;  ///< fraction of ranked pairs that the scores order as the ranking does; equal scores count one half
};

/// The preference loss of reward models over rankings of n answers (Plackett 1975; Luce 1959; as a loss, Xia et al.
/// 2008): the answer of each place is a choice among those not yet placed, with odds e^s:
///
///     L = Σ_g w_g·Σ_k [ log Σ_{j≥k} exp(s_j) − s_k ],   places k = 1 … n_g, or 1 … min(top, n_g)
///
/// Rankings of two answers give `bradley_terry_loss`. It is not the mean over all pairs of a ranking (Ouyang et al.
/// 2022, eq. 1), which treats the pairs as independent: for that, give `bradley_terry_loss` the pairs with weights
/// 2/(n·(n − 1)).
///
/// `scores`: those of all groups, packed; each group from the best to the worst answer. Arrays, ranges or tensors.
/// `offsets`: N + 1 entries. `weights` (optional, default 1/N): one per group, 0 drops the group. Groups of one
/// answer or none add 0. `operator()` returns double, or a 0-d tensor that is differentiable; `value_and_grad` a
/// `plackett_luce_result` (tensors are copied to the host for it). Neither overflows nor loses small losses. Throws
/// argument_error when lengths or offsets do not fit or the loss is not finite (host arrays).
///
///     std::vector<std::size_t> offsets{0, 3, 5};  // a ranking of three and one of two
///     auto result = coho::plackett_luce_loss{}.value_and_grad(scores, offsets);
///     double best_of_n = coho::plackett_luce_loss{{.top = 1}}(scores, offsets);
class plackett_luce_loss {
 public:
  explicit plackett_luce_loss(const plackett_luce_options& options = {}) : options_(options) {}
  const plackett_luce_options& options() const noexcept { return options_; }

  template <class Scores>
  auto operator()(const Scores& scores, std::span<const std::size_t> offsets) const {
    static_assert(detail::array_check<Scores>::passed);
    if constexpr (detail::device_array<Scores>) {
      check_groups(offsets, static_cast<std::size_t>(scores.numel()));
      const detail::mean_weights equal(offsets.size() - 1);
      return tensor_loss(scores, offsets, scores.new_full({static_cast<std::int64_t>(equal.count)}, equal.weight));
    } else {
      return host_result<false>(scores, offsets, nullptr).value;
    }
  }
  template <class Scores, class Weights>
  auto operator()(const Scores& scores, std::span<const std::size_t> offsets,
                  const token_weights<Weights>& weights) const {
    static_assert(detail::array_check<Scores, Weights>::passed);
    if constexpr (detail::device_array<Scores>) {
      check_groups(offsets, static_cast<std::size_t>(scores.numel()));
      detail::check_lengths(offsets.size() - 1, static_cast<std::size_t>(weights.values.numel()), name, "weights");
      const auto real = coho::sequence_spread(weights.values, offsets) != 0;
      return tensor_loss(Scores(coho::where(real, scores, 0.0)), offsets, weights.values);
    } else {
      return host_result<false>(scores, offsets, &weights.values).value;
    }
  }

  template <class Scores>
  auto value_and_grad(const Scores& scores, std::span<const std::size_t> offsets) const {
    static_assert(detail::array_check<Scores>::passed);
    return result_like(host_result<true>(detail::on_host(scores), offsets, nullptr), scores);
  }
  template <class Scores, class Weights>
  auto value_and_grad(const Scores& scores, std::span<const std::size_t> offsets,
                      const token_weights<Weights>& weights) const {
    static_assert(detail::array_check<Scores, Weights>::passed);
    const auto& weights_local = detail::on_host(weights.values);
    return result_like(host_result<true>(detail::on_host(scores), offsets, &weights_local), scores);
  }

 private:
  static constexpr const char* name = "plackett_luce_loss";

  // Throws argument_error unless the offsets fit the scores.
  static void check_groups(std::span<const std::size_t> offsets, std::size_t size) {
    detail::check_offsets(offsets, size, name);
  }
  // The places of a ranking of n that add to the loss: the last is not a choice.
  std::size_t places(std::size_t n) const noexcept {
    const std::size_t all = n == 0 ? 0 : n - 1;
    return options_.top == 0 ? all : std::min(options_.top, all);
  }

  // One ranking of n answers, and memory that the next one reuses.
  struct ranking {
    std::vector<double> score;
    std::vector<double> strength, rest;  // e^score of each, and of those not yet placed, up to a common factor
    double highest = 0;
    std::size_t ranked = 0;  // places that count
    double weight = 0;
  };

  // log(eᵃ + eᵇ) without overflow; −∞ for two −∞.
  static double log_add_exp(double a, double b) {
    const double high = std::max(a, b), low = std::min(a, b);
    return low == -std::numeric_limits<double>::infinity() ? high : high + std::log1p(std::exp(low - high));
  }

  // `weights`: a pointer to the caller's, or nullptr for 1/N each.
  template <bool Gradient, class Scores, class Weights>
  auto host_result(const Scores& scores, std::span<const std::size_t> offsets, Weights weights) const {
    static_assert(detail::host_array<Scores>,
                  "coho::plackett_luce_loss: tensors and arrays of the host cannot be mixed");
    const auto elements = detail::host_elements(scores);
    check_groups(offsets, elements.size());
    using number = detail::host_number_t<Scores>;
    if constexpr (std::is_null_pointer_v<Weights>) {
      return sum_rankings<Gradient, number>(elements, offsets, detail::mean_weights(offsets.size() - 1));
    } else {
      return sum_rankings<Gradient, number>(elements, offsets, detail::host_elements(*weights));
    }
  }

  // Adds up the groups: loss, gradient, and how many ranked pairs the scores order as the ranking does.
  template <bool Gradient, class Number, class Scores, class Weights>
  auto sum_rankings(const Scores& scores, std::span<const std::size_t> offsets, const Weights& weights) const {
    detail::check_lengths(offsets.size() - 1, weights.size(), name, "weights");
    plackett_luce_result<double, detail::array_of<Number>> result{};
    if constexpr (Gradient) result.d_scores.setZero(static_cast<Eigen::Index>(scores.size()));
    ranking group;
    auto& score = group.score;
    double value = 0, right = 0, pairs = 0;
    for (std::size_t g = 0; g + 1 < offsets.size(); ++g) {
      const std::size_t begin = offsets[g], n = offsets[g + 1] - begin, ranked = places(n);
      const double weight = static_cast<double>(weights[g]);
      if (weight == 0 || ranked == 0) continue;
      score.resize(n);
      group.strength.resize(n);
      group.rest.resize(n);
      group.ranked = ranked;
      group.weight = weight;
      double highest = static_cast<double>(scores[begin]), lowest = highest;
      for (std::size_t k = 0; k < n; ++k) {
        score[k] = static_cast<double>(scores[begin + k]);
        highest = std::max(highest, score[k]);
        lowest = std::min(lowest, score[k]);
      }
      Number* const slopes = Gradient ? result.d_scores.data() + begin : nullptr;
      group.highest = highest;
      const bool near = highest - lowest < widest_range;
      value += weight * (near ? group_loss_by_strengths<Gradient>(group, slopes)
                              : group_loss_in_log_space<Gradient>(group, slopes));
      if constexpr (!Gradient) continue;
      for (std::size_t k = 0; k < ranked; ++k) {
        for (std::size_t j = k + 1; j < n; ++j) right += heaviside(score[k] - score[j]);
        pairs += static_cast<double>(n - k - 1);
      }
    }
    result.value = value;
    detail::require_finite(result.value, name);
    result.accuracy = pairs > 0 ? right / pairs : 0;
    return result;
  }

  // If a group's scores are further apart, strengths could underflow. NaN and infinity fail this test too.
  static constexpr double widest_range = 500;

  // The loss of a group without its weight, and its weighted gradient in `slopes`, with one exponential per score:
  // Σ_{k≤j, ranked} strength_j/rest_k, less 1 where j is ranked. There, strength_j/rest_j − 1 is −rest_{j+1}/rest_j.
  template <bool Gradient, class Number>
  static double group_loss_by_strengths(ranking& group, Number* slopes) {
    auto& [score, strength, rest, highest, ranked, weight] = group;
    const std::size_t n = score.size();
    double total = 0, loss = 0, passed = 0;
    for (std::size_t k = n; k-- > 0;) rest[k] = total += strength[k] = std::exp(score[k] - highest);
    for (std::size_t k = 0; k < n; ++k) {
      double slope = strength[k] * passed;
      if (k < ranked) {
        // log1p of the odds against: the logarithm of the rounded sum, plus what rounding removed.
        const double against = rest[k + 1] / strength[k], whole = 1 + against, share = 1 / whole;
        loss += std::log(whole) + (against - (whole - 1)) * share;
        slope -= against * share;
        passed += 1 / rest[k];
      }
      if constexpr (Gradient) slopes[k] = static_cast<Number>(weight * slope);
    }
    return loss;
  }

  // The same for scores any distance apart, infinite ones included.
  template <bool Gradient, class Number>
  static double group_loss_in_log_space(ranking& group, Number* slopes) {
    const auto& score = group.score;
    auto& rest = group.rest;
    const std::size_t n = score.size();
    rest[n - 1] = score[n - 1];
    for (std::size_t k = n - 1; k-- > 0;) rest[k] = log_add_exp(score[k], rest[k + 1]);
    double loss = 0;
    for (std::size_t k = 0; k < group.ranked; ++k) loss += coho::softplus(rest[k + 1] - score[k]);
    if constexpr (Gradient) {
      // Σ_{k<j} exp(s_j − rest_k) − [j is ranked]·(1 − exp(s_j − rest_j)); the difference is computed as
      // exp(rest_{j+1} − rest_j), which is precise where it is small.
      double before = -std::numeric_limits<double>::infinity();
      for (std::size_t j = 0; j < n; ++j) {
        double slope = std::exp(score[j] + before);
        if (j < group.ranked) {
          slope -= std::exp(rest[j + 1] - rest[j]);
          before = log_add_exp(before, -rest[j]);
        }
        slopes[j] = static_cast<Number>(group.weight * slope);
      }
    }
    return loss;
  }

  // The differentiable loss of a tensor: one row per group, padded with scores too low to matter.
  template <class T>
  auto tensor_loss(const T& scores, std::span<const std::size_t> offsets, const T& weights) const {
    const std::size_t groups = offsets.size() - 1;
    detail::array_of<double> lengths(static_cast<Eigen::Index>(groups)), ranked(static_cast<Eigen::Index>(groups));
    std::size_t longest = 0;
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t n = offsets[g + 1] - offsets[g];
      lengths.data()[g] = static_cast<double>(n);
      ranked.data()[g] = static_cast<double>(places(n));
      longest = std::max(longest, n);
    }
    if (longest < 2) return coho::sum(T(scores.narrow(0, 0, 0)));
    const auto rows = static_cast<std::int64_t>(groups), columns = static_cast<std::int64_t>(longest);
    const T place = coho::detach(scores).new_ones({1, columns}).cumsum(1);
    const T real = place <= detail::from_host_as(lengths, scores).unsqueeze(1);
    const T choice = (place <= detail::from_host_as(ranked, scores).unsqueeze(1)).narrow(1, 0, columns - 1);
    const T low = coho::detach(scores).min() - 100.0;
    const T table = coho::where(real, T(scores.new_zeros({rows, columns}).masked_scatter(real, scores)), low);
    const T rest = table.flip({1}).logcumsumexp(1).flip({1});
    const T cost = coho::softplus(T(rest.narrow(1, 1, columns - 1) - table.narrow(1, 0, columns - 1)));
    return coho::sum(T(weights.unsqueeze(1) * coho::where(choice, cost, 0.0)));
  }

  // The result on the host as tensors where the scores are a tensor.
  template <class Result, class Scores>
  static auto result_like(Result result, const Scores& scores) {
    if constexpr (detail::device_array<Scores>) {
      const auto number = [&](double x) {
        return coho::sum(
            detail::from_host_as(detail::array_of<double>(detail::array_of<double>::Constant(1, x)), scores));
      };
      return plackett_luce_result<detail::value_of<Scores>, plain_t<Scores>>{
          number(result.value), detail::from_host_as(std::move(result.d_scores), scores), number(result.accuracy)};
    } else {
      return result;
    }
  }

  plackett_luce_options options_;
};

}  // namespace coho::inline v0_1
