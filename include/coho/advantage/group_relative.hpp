#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include <coho/concepts.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/moments.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

/// The divisor of the difference from the group's mean.
enum class group_scale {
  group_deviation,  ///< the group's own deviation + ε (GRPO, Shao et al. 2024)
  none,             ///< 1: nearly solved and hopeless prompts gain no weight (Dr. GRPO, Liu et al. 2025)
  batch_deviation,  ///< the deviation of all rewards of the batch, over all ranks, + ε
};
constexpr auto option_names(group_scale) { return std::array{"group_deviation", "none", "batch_deviation"}; }

struct group_relative_options {
  group_scale scale = group_scale::group_deviation;
  coho::deviation deviation = deviation::bessel;  ///< TRL, verl, OpenRLHF and NeMo-RL divide by n − 1
  double epsilon = 1e-4;  ///< added to the deviation; > 0. TRL 1e-4, verl and NeMo-RL 1e-6, OpenRLHF 1e-9

  static void describe(auto&& visit, auto&... o) {
    visit({"scale", "what the difference from the group's mean is divided by"}, o.scale...);
    visit({"deviation", "divide the sum of squares by n, or (bessel) by n − 1"}, o.deviation...);
    visit({"epsilon", "added to the deviation", allowed::above(0)}, o.epsilon...);
  }
};

namespace detail {

/// Checks that group offsets start at 0, do not decrease and end at the number of rewards.
inline void check_groups(std::span<const std::size_t> offsets, std::size_t rewards, const char* who) {
  check_offsets(offsets, rewards, who, {.offsets = "group offsets", .parts = "groups", .elements = "rewards"});
}

/// The error of a group with a non-finite reward, or with rewards so large that their squares overflow.
[[noreturn]] inline void throw_group_not_finite(std::size_t group, const char* who) {
  throw argument_error(std::string(who) + ": the rewards of group " + std::to_string(group) +
                       ", or their deviation, are not finite");
}
/// Throws `throw_group_not_finite` unless `finite`. The throw is a function of its own, so that the loop around the
/// call keeps its numbers in registers.
inline void require_finite_group(bool finite, std::size_t group, const char* who) {
  if (!finite) throw_group_not_finite(group, who);
}

/// The rewards of one group: copied if their number is a compile-time constant, so that a group stays in registers
/// despite stores in between.
template <class Rewards, std::size_t Size>
struct group_rewards {
  double rewards[Size];

  group_rewards(const Rewards& all, std::size_t begin) {
    for (std::size_t i = 0; i < Size; ++i) rewards[i] = static_cast<double>(all[begin + i]);
  }
  static constexpr std::size_t size() noexcept { return Size; }
  double operator[](std::size_t i) const noexcept { return rewards[i]; }
};
template <class Rewards>
struct group_rewards<Rewards, 0> {
  const Rewards& all;
  std::size_t begin, end;

  std::size_t size() const noexcept { return end - begin; }
  double operator[](std::size_t i) const noexcept { return static_cast<double>(all[begin + i]); }
};

/// Calls f(g, begin, group) for each group. Loops over so few elements cost more than their work: usual sizes are
/// compile-time constants.
template <class Rewards, class F>
void for_each_group(const Rewards& rewards, std::span<const std::size_t> groups, const F& f) {
  for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
    const std::size_t begin = groups[g], end = groups[g + 1];
    switch (end - begin) {
      case 4:
        f(g, begin, group_rewards<Rewards, 4>(rewards, begin));
        break;
      case 8:
        f(g, begin, group_rewards<Rewards, 8>(rewards, begin));
        break;
      default:
        f(g, begin, group_rewards<Rewards, 0>{rewards, begin, end});
    }
  }
}

/// The mean of one group. Differences from the first reward are averaged, so that equal rewards differ from it
/// by exactly 0.
struct group_mean {
  double first = 0, shift = 0;

  template <class Group>
  explicit group_mean(const Group& rewards) {
    if (rewards.size() == 0) return;
    first = rewards[0];
    double odd = 0;  // two sums: a single one would wait for each addition
    std::size_t i = 1;
    for (; i + 1 < rewards.size(); i += 2) {
      odd += rewards[i] - first;
      shift += rewards[i + 1] - first;
    }
    if (i < rewards.size()) odd += rewards[i] - first;
    shift += odd;
    shift /= static_cast<double>(rewards.size());
  }
  /// reward − mean.
  double difference(double reward) const noexcept { return reward - first - shift; }
};

/// out_i = r_i − mean over [begin, end), the rewards of one group; other elements of `out` are left as they are.
template <class Rewards>
void subtract_group_mean(const Rewards& rewards, std::size_t begin, std::size_t end, double* out) {
  const group_rewards<Rewards, 0> group{rewards, begin, end};
  const group_mean mean(group);
  for (std::size_t i = 0; i < group.size(); ++i) out[begin + i] = mean.difference(group[i]);
}

}  // namespace detail

struct group_relative_fn {
  /// The advantage of each response over the others to the same prompt (Shao et al. 2024, DeepSeekMath, §4.1.2; without
  /// the division Liu et al. 2025, "Understanding R1-Zero-Like Training", §3.2):
  ///
  ///     A_i = (r_i − mean of the group) / (deviation + ε)
  ///
  /// `rewards`: one per response (array, range or tensor). `groups`: group g is responses [groups[g], groups[g + 1]);
  /// sizes may differ. Returns one advantage per response, an Eigen array of the rewards' number type (a tensor for a
  /// tensor, detached); `sequence_spread` expands them to tokens. Groups of equal rewards, or of one
  /// response, get advantages of exactly 0. The mean includes r_i: without scaling, the expected gradient is (G −
  /// 1)/G times that of `leave_one_out`, for groups of G. With batch_deviation all ranks must call together. Throws
  /// option_error (epsilon), argument_error (offsets that do not fit; rewards that are not finite).
  ///
  ///     std::vector<double> rewards{1, 2, 3, 5, 5, 5};
  ///     std::vector<std::size_t> groups{0, 3, 6};
  ///     auto advantages = coho::group_relative(rewards, groups);  // ≈ −1 0 1 0 0 0
  ///     auto unscaled = coho::group_relative(rewards, groups, {.scale = coho::group_scale::none});  // −1 0 1 0 0 0
  template <class Rewards, communicator Communicator = const local_communicator>
  auto operator()(const Rewards& rewards, std::span<const std::size_t> groups,
                  const group_relative_options& options = {}, Communicator&& ranks = local_communicator{}) const {
    if constexpr (!detail::host_array<Rewards>) static_assert(detail::array_check<Rewards>::passed);
    const auto& host = detail::on_host(rewards);
    const auto elements = detail::host_elements(host);
    return detail::from_host_as(
        scaled_differences<detail::host_number_t<decltype(host)>>(elements, groups, options, ranks), rewards);
  }

 private:
  // Two passes over each group: the sum of squared differences, then the advantages.
  template <class Number, class R, class Communicator>
  static detail::array_of<Number> scaled_differences(const R& rewards, std::span<const std::size_t> groups,
                                                     const group_relative_options& options, Communicator& ranks) {
    validate(options);
    detail::check_groups(groups, rewards.size(), "group_relative");
    double factor = 1;
    if (options.scale == group_scale::batch_deviation) {
      const moments all = detail::global_moments(rewards, detail::all_real{rewards.size()}, options.deviation, ranks);
      // All ranks detect it alike, so that none is left waiting.
      require_argument(std::isfinite(all.mean) && std::isfinite(all.deviation),
                       "group_relative: the mean or deviation of the batch is not finite");
      factor = 1 / (all.deviation + options.epsilon);
    }

    detail::array_of<Number> out(static_cast<Eigen::Index>(rewards.size()));
    Number* const to = out.data();
    const bool own_scale = options.scale == group_scale::group_deviation;
    const auto one = [=, &options](std::size_t g, std::size_t begin, const auto& group) {
      const detail::group_mean mean(group);
      double squares = 0;
      for (std::size_t i = 0; i < group.size(); ++i) {
        const double difference = mean.difference(group[i]);
        squares += difference * difference;
      }
      detail::require_finite_group(squares - squares == 0, g, "group_relative");
      double scale = factor;
      if (own_scale) {
        const double n = static_cast<double>(group.size());
        const double divisor = options.deviation == deviation::bessel ? n - 1 : n;
        scale = 1 / ((divisor > 0 ? std::sqrt(squares / divisor) : 0.0) + options.epsilon);
      }
      for (std::size_t i = 0; i < group.size(); ++i)
        to[begin + i] = static_cast<Number>(mean.difference(group[i]) * scale);
    };
    detail::for_each_group(rewards, groups, one);
    return out;
  }
};
inline constexpr group_relative_fn group_relative{};

}  // namespace coho::inline v0_1
