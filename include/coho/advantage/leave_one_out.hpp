#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include <coho/advantage/group_relative.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/moments.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct leave_one_out_options {
  bool scale = false;                             ///< divide by the deviation of the others + ε, where it is not 0
  coho::deviation deviation = deviation::bessel;  ///< of the others: divides the sum of squares by n − 1 or n
  double epsilon = 1e-6;                          ///< added to the deviation; > 0

  static void describe(auto&& visit, auto&... o) {
    visit({"scale", "divide by the deviation of the other rewards"}, o.scale...);
    visit({"deviation", "divide the sum of squares by n, or (bessel) by n − 1"}, o.deviation...);
    visit({"epsilon", "added to the deviation", allowed::above(0)}, o.epsilon...);
  }
};

template <class Array>
struct leave_one_out_result {
  Array advantages;  ///< one per response
  Array baselines;   ///< mean reward of the other responses; in a group of one, the response's own
  Array deviations;  ///< deviation of the rewards of the others; empty without `scale`
};

struct leave_one_out_fn {
  /// REINFORCE with a leave-one-out baseline, RLOO (Kool et al. 2019, "Buy 4 REINFORCE Samples, Get a Baseline for
  /// Free!"; Ahmadian et al. 2024, "Back to Basics", arXiv 2402.14740):
  ///
  ///     A_i = r_i − b_i,   b_i = mean of the rewards of the other responses to the same prompt
  ///
  /// b_i does not depend on response i, so the gradient is unbiased. With `scale`, A_i is divided by the
  /// deviation of those same rewards + ε; where that is 0 (always, with Bessel's correction, in groups of two) it is
  /// not scaled.
  ///
  /// `rewards`: one per response (array, range or tensor). `groups`: group g is responses [groups[g], groups[g + 1]);
  /// sizes may differ. In a group of one the advantage is 0. Returns Eigen arrays of the rewards' number type
  /// (tensors for tensors, detached); `sequence_spread` expands advantages to tokens. Throws option_error (epsilon),
  /// argument_error (offsets that do not fit; non-finite rewards).
  ///
  ///     std::vector<double> rewards{1, 2, 3};
  ///     std::vector<std::size_t> groups{0, 3};
  ///     auto [advantages, baselines, deviations] = coho::leave_one_out(rewards, groups);  // baselines 2.5 2 1.5
  template <class Rewards>
  auto operator()(const Rewards& rewards, std::span<const std::size_t> groups,
                  const leave_one_out_options& options = {}) const {
    if constexpr (!detail::host_array<Rewards>) static_assert(detail::array_check<Rewards>::passed);
    const auto& host = detail::on_host(rewards);
    const auto elements = detail::host_elements(host);
    auto result = subtract_baselines<detail::host_number_t<decltype(host)>>(elements, groups, options);
    auto advantages = detail::from_host_as(std::move(result.advantages), rewards);
    auto baselines = detail::from_host_as(std::move(result.baselines), rewards);
    auto deviations = detail::from_host_as(std::move(result.deviations), rewards);
    return leave_one_out_result<decltype(advantages)>{std::move(advantages), std::move(baselines),
                                                      std::move(deviations)};
  }

 private:
  // r_i less the mean of the others is the difference from the whole mean, times n / (n − 1).
  struct other_responses {
    detail::group_mean mean;
    double factor;

    template <class Group>
    explicit other_responses(const Group& group) : mean(group) {
      const double n = static_cast<double>(group.size());
      factor = n > 1 ? n / (n - 1) : 1;
    }
    /// reward − mean of the others; 0 in a group of one.
    double difference(double reward) const noexcept { return mean.difference(reward) * factor; }
  };

  // Advantages and baselines in one pass over the groups; what is not finite is found by one test at its end.
  template <class Number, class R>
  static leave_one_out_result<detail::array_of<Number>> subtract_baselines(const R& rewards,
                                                                           std::span<const std::size_t> groups,
                                                                           const leave_one_out_options& options) {
    validate(options);
    detail::check_groups(groups, rewards.size(), "leave_one_out");
    const auto size = static_cast<Eigen::Index>(rewards.size());
    leave_one_out_result<detail::array_of<Number>> result{detail::array_of<Number>(size),
                                                          detail::array_of<Number>(size),
                                                          detail::array_of<Number>(options.scale ? size : 0)};
    Number *const advantages = result.advantages.data(), *const baselines = result.baselines.data();
    double defects[8] = {};  // NaN as soon as a baseline is not finite
    const auto one = [=, &defects](std::size_t, std::size_t begin, const auto& group) {
      const other_responses mean(group);
      const auto advantage = [&](std::size_t i) { return mean.difference(group[i]); };
      // One result at a time, so that fixed-length loops vectorise.
      for (std::size_t i = 0; i < group.size(); ++i) advantages[begin + i] = static_cast<Number>(advantage(i));
      for (std::size_t i = 0; i < group.size(); ++i)
        baselines[begin + i] = static_cast<Number>(group[i] - advantage(i));
      for (std::size_t i = 0; i < group.size(); ++i) {
        const double baseline = group[i] - advantage(i);
        defects[i % 8] += baseline - baseline;
      }
    };
    detail::for_each_group(rewards, groups, one);
    if (!(detail::array_of<double>::Map(defects, 8).sum() == 0)) find_group_not_finite(rewards, groups);
    if (options.scale) divide_by_deviations(rewards, groups, options, result);
    return result;
  }

  // The slow search for the group that the test of `subtract_baselines` has found to exist: throws argument_error.
  template <class R>
  static void find_group_not_finite(const R& rewards, std::span<const std::size_t> groups) {
    const auto one = [](std::size_t g, std::size_t, const auto& group) {
      const other_responses mean(group);
      for (std::size_t i = 0; i < group.size(); ++i) {
        const double baseline = group[i] - mean.difference(group[i]);
        detail::require_finite_group(baseline - baseline == 0, g, "leave_one_out");
      }
    };
    detail::for_each_group(rewards, groups, one);
  }

  // Fills in `deviations` and divides the advantages by them, except where a deviation is only rounding.
  template <class Number, class R>
  static void divide_by_deviations(const R& rewards, std::span<const std::size_t> groups,
                                   const leave_one_out_options& options,
                                   leave_one_out_result<detail::array_of<Number>>& result) {
    std::vector<double> deviations;
    for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
      const std::size_t begin = groups[g], end = groups[g + 1];
      const other_responses mean(detail::group_rewards<R, 0>{rewards, begin, end});
      deviations.resize(end - begin);
      deviations_of_others(rewards, begin, end, options.deviation, deviations.data());
      for (std::size_t i = begin; i < end; ++i) {
        const double deviation = deviations[i - begin];
        detail::require_finite_group(deviation - deviation == 0, g, "leave_one_out");
        result.deviations.data()[i] = static_cast<Number>(deviation);
        if (deviation > 1e-12 * std::abs(static_cast<double>(result.baselines.data()[i]))) {  // more than rounding
          const double advantage = mean.difference(static_cast<double>(rewards[i]));
          result.advantages.data()[i] = static_cast<Number>(advantage / (deviation + options.epsilon));
        }
      }
    }
  }

  // The deviation of the rewards of [begin, end) without that of i, for each i: those before i and those after it,
  // merged. Subtracting r_i from the sum of all squares would cancel: deviations
  // of 0 would come out as noise, and be divided by.
  template <class R>
  static void deviations_of_others(const R& rewards, std::size_t begin, std::size_t end, deviation kind, double* out) {
    const auto one = [&](std::size_t i) {
      return detail::moment_sums{.count = 1, .mean = static_cast<double>(rewards[i])};
    };
    std::vector<detail::moment_sums> after(end - begin + 1);
    for (std::size_t i = end; i-- > begin;) {
      after[i - begin] = after[i - begin + 1];
      after[i - begin].merge(one(i));
    }
    detail::moment_sums before;
    for (std::size_t i = begin; i < end; ++i) {
      detail::moment_sums others = before;
      others.merge(after[i - begin + 1]);
      const double divisor = kind == deviation::population ? others.count : others.count - 1;
      out[i - begin] = divisor > 0 ? std::sqrt(others.squares / divisor) : 0.0;
      before.merge(one(i));
    }
  }
};
inline constexpr leave_one_out_fn leave_one_out{};

}  // namespace coho::inline v0_1
