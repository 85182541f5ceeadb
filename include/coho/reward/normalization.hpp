#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

#include <coho/concepts.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/moments.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct normalize_options {
  double mean = 0;       ///< of the reward model's scores on a reference set; finite
  double deviation = 1;  ///< of the same scores; > 0
  double clip = 0;       ///< limits the result to ±this; 0 is off

  static void describe(auto&& visit, auto&... o) {
    visit({"mean", "mean of the reward model's scores on a reference set"}, o.mean...);
    visit({"deviation", "standard deviation of the same scores", allowed::above(0)}, o.deviation...);
    visit({"clip", "limits the normalised score to ± this; 0: off", allowed::bound()}, o.clip...);
  }
};

struct normalize_rewards_fn {
  /// y = clip((x − mean) / deviation) of each sequence reward, with a fixed mean and deviation, so that a reward keeps
  /// its meaning from batch to batch. `rewards`: array, range or tensor (the result is detached), or a number. Throws
  /// option_error.
  ///
  ///     auto options = coho::normalize_rewards.fit(scores_of_initial_policy);
  ///     auto normalised = coho::normalize_rewards(rewards, options);
  template <class Rewards>
  auto operator()(const Rewards& rewards, const normalize_options& options) const {
    static_assert(detail::array_check<Rewards>::passed);
    validate(options);
    const double limit = options.clip > 0 ? options.clip : std::numeric_limits<double>::infinity();
    const auto one = [&](double x) {
      return array_traits<double>::clamp((x - options.mean) / options.deviation, -limit, limit);
    };
    if constexpr (detail::floating_scalar<Rewards>) {
      return one(rewards);
    } else {
      const auto& host = detail::on_host(rewards);
      const auto elements = detail::host_elements(host);
      using number = detail::host_number_t<decltype(host)>;
      detail::array_of<number> out(static_cast<Eigen::Index>(elements.size()));
      for (std::size_t i = 0; i < elements.size(); ++i)
        out.data()[i] = static_cast<number>(one(static_cast<double>(elements[i])));
      return detail::from_host_as(std::move(out), rewards);
    }
  }

  /// The options that give a sample of rewards mean 0 and population deviation 1, over all ranks, which call together.
  /// Throws argument_error when the sample is empty, not finite or constant.
  template <class Rewards, communicator Communicator = const local_communicator>
  normalize_options fit(const Rewards& rewards, double clip = 0, Communicator&& ranks = local_communicator{}) const {
    static_assert(detail::array_check<Rewards>::passed);
    const auto& host = detail::on_host(rewards);
    const auto elements = detail::host_elements(host);
    const moments m = detail::global_moments(elements, detail::all_real{elements.size()}, deviation::population, ranks);
    require_argument(m.count > 0, "normalize_rewards.fit: no rewards");
    require_argument(std::isfinite(m.mean) && std::isfinite(m.deviation),
                     "normalize_rewards.fit: a reward is not finite");
    require_argument(m.deviation > 0, "normalize_rewards.fit: all rewards are equal");
    return {.mean = m.mean, .deviation = m.deviation, .clip = clip};
  }
};
inline constexpr normalize_rewards_fn normalize_rewards{};

}  // namespace coho::inline v0_1
