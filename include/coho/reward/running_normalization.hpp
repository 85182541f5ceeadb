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
#include <coho/reward/normalization.hpp>

namespace coho::inline v0_1 {

struct running_normalization_options {
  bool center = true;     ///< subtract the mean; off: scale only, which keeps the sign of a reward
  double clip = 0;        ///< limits the result to ±this; 0 is off
  double epsilon = 1e-8;  ///< added to the deviation; > 0
  double warm_up = 2;     ///< rewards seen before normalisation starts; at least 0

  static void describe(auto&& visit, auto&... o) {
    visit({"center", "subtract the mean; off: scale only, which keeps the sign of a reward"}, o.center...);
    visit({"clip", "limits the result to ± this; 0: off", allowed::bound()}, o.clip...);
    visit({"epsilon", "added to the deviation", allowed::above(0)}, o.epsilon...);
    visit({"warm_up", "rewards to have seen before any is changed", allowed::at_least(0).or_infinity(), "rewards"},
          o.warm_up...);
  }
};

/// The checkpointed state of a running_normalization.
struct running_normalization_state {
  double count = 0;    ///< rewards seen, over all ranks
  double mean = 0;     ///< of those
  double squares = 0;  ///< sum of their squared differences from the mean
  friend bool operator==(const running_normalization_state&, const running_normalization_state&) = default;
};

/// Rewards normalised by the mean and population deviation of all rewards seen so far, this batch included, on all
/// ranks:
///
///     y = clip((x − mean) / (deviation + ε))
///
/// Batches are merged by the formula of Chan et al. 1979, so the result is that of one pass over all of them, and does
/// not cancel however far from 0 the rewards are. `operator()` adds a batch and normalises it; `update` and
/// `normalize` do one of the two. Rewards: array, range or tensor (the result is detached); `normalize` takes a number
/// too. Until `warm_up` rewards have been seen they are clipped only. While all rewards seen are equal (to within
/// rounding) there is no deviation to divide by: they are centred and clipped only. `normalize_rewards` is for a mean
/// and deviation known in advance.
///
/// All ranks must call together; a rank may have no reward. Throws option_error at construction; argument_error, on all
/// ranks alike and with the state unchanged, when a reward is not finite, and from `restore` when the state is
/// unusable.
///
///     coho::running_normalization normalization{{.clip = 5}};
///     std::vector<double> rewards{1, 2, 3};
///     auto normalised = normalization(rewards);  // −1.22 0 1.22
class running_normalization {
 public:
  explicit running_normalization(const running_normalization_options& options = {}) : options_(options) {
    validate(options);
  }
  const running_normalization_options& options() const noexcept { return options_; }

  /// Adds a batch, then normalises it by all rewards seen so far.
  template <class Rewards, communicator Communicator = const local_communicator>
  auto operator()(const Rewards& rewards, Communicator&& ranks = local_communicator{}) {
    update(rewards, ranks);
    return normalize(rewards);
  }

  /// Adds the rewards of all ranks to those seen.
  template <class Rewards, communicator Communicator = const local_communicator>
  void update(const Rewards& rewards, Communicator&& ranks = local_communicator{}) {
    if constexpr (!detail::host_array<Rewards>) static_assert(detail::array_check<Rewards>::passed);
    const auto& host = detail::on_host(rewards);
    const auto elements = detail::host_elements(host);
    const moments batch =
        detail::global_moments(elements, detail::all_real{elements.size()}, deviation::population, ranks);
    detail::moment_sums merged = seen_;
    merged.merge({batch.count, batch.mean, batch.deviation * batch.deviation * batch.count});
    require_argument(std::isfinite(merged.mean) && std::isfinite(merged.squares),
                     "running_normalization: the mean or deviation is not finite; a reward is NaN or infinite");
    seen_ = merged;
  }

  /// y of each reward, by the rewards seen so far; the state does not change, and no rank waits for another.
  template <class Rewards>
  auto normalize(const Rewards& rewards) const {
    static_assert(detail::array_check<Rewards>::passed);
    const double limit = options_.clip > 0 ? options_.clip : std::numeric_limits<double>::infinity();
    const moments m = seen();
    const bool ready = m.count > 0 && m.count >= options_.warm_up;
    const double mean = ready && options_.center ? m.mean : 0;
    const double factor = ready && m.deviation > 0 ? 1 / (m.deviation + options_.epsilon) : 1;
    const auto one = [=](double x) {
      const double y = (x - mean) * factor;
      if (!std::isfinite(y)) throw argument_error("running_normalization: a reward is not finite");
      return array_traits<double>::clamp(y, -limit, limit);
    };
    if constexpr (detail::floating_scalar<Rewards>) {
      return one(static_cast<double>(rewards));
    } else {
      const auto& host = detail::on_host(rewards);
      const auto elements = detail::host_elements(host);
      using number = detail::host_number_t<decltype(host)>;
      detail::array_of<number> out(static_cast<Eigen::Index>(elements.size()));
      for (std::size_t i = 0; i < elements.size(); ++i) {
        out.data()[i] = static_cast<number>(one(static_cast<double>(elements[i])));
      }
      return detail::from_host_as(std::move(out), rewards);
    }
  }

  /// Mean, population deviation (0 if below 1e-12 of the mean, which is rounding) and count of the rewards seen.
  moments seen() const noexcept {
    const double deviation = seen_.count > 0 ? std::sqrt(seen_.squares / seen_.count) : 0;
    return {seen_.mean, deviation > 1e-12 * std::abs(seen_.mean) ? deviation : 0.0, seen_.count};
  }

  running_normalization_state save() const noexcept { return {seen_.count, seen_.mean, seen_.squares}; }
  /// Continues from a saved state, whatever was seen before.
  void restore(const running_normalization_state& saved) {
    const auto usable = [](double x) { return std::isfinite(x) && x >= 0; };
    require_argument(usable(saved.count) && std::isfinite(saved.mean) && usable(saved.squares),
                     "running_normalization: the saved state is not finite, or its count or squares are negative");
    seen_ = {saved.count, saved.mean, saved.squares};
  }

 private:
  running_normalization_options options_;
  detail::moment_sums seen_;
};

}  // namespace coho::inline v0_1
