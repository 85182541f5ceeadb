#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <coho/advantage/group_relative.hpp>
#include <coho/concepts.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/moments.hpp>
#include <coho/options.hpp>

namespace coho::inline v0_1 {

struct gdpo_options {
  group_relative_options each{};  ///< how each reward is normalised within its group
  /// Whether the sum is divided by the deviation of the whole batch, so that its size does not grow with the number of
  /// rewards.
  bool batch_normalization = true;
  double epsilon = 1e-4;  ///< added to that deviation; > 0

  static void describe(auto&& visit, auto&... o) {
    visit({"each", "how each reward is normalised within its group"}, o.each...);
    visit({"batch_normalization", "whether the sum is normalised over the whole batch"}, o.batch_normalization...);
    visit({"epsilon", "added to the deviation of the batch", allowed::above(0)}, o.epsilon...);
  }
};

struct gdpo_fn {
  /// GDPO (Liu et al. 2026, "Group reward-Decoupled Normalization Policy Optimization", arXiv 2601.05242): of several
  /// rewards each is normalised within its group before they are added. Where their sum is normalised instead,
  /// responses with the same sum get the same advantage, whatever it is made of, and a reward of small deviation hardly
  /// counts.
  ///
  ///     A_i = Σ_k w_k · (r_ki − mean of the group) / (deviation + ε),   then (A_i − mean) / (deviation + ε) of the batch
  ///
  /// `rewards`: one list per reward (arrays or ranges), each with a number per response. `weights`: w_k, one per list;
  /// may be negative; none: 1 each. `groups`: group g is responses [groups[g], groups[g + 1]). Returns one advantage
  /// per response, an Eigen array of double. Mean and deviation of the batch are those of all ranks, which call
  /// together. Throws option_error; argument_error (no reward, lists of other lengths, weights of another number or not
  /// finite, offsets that do not fit, rewards that are not finite).
  ///
  ///     std::vector<std::vector<double>> rewards{{1, 0, 1, 0}, {0, 0, 9, 9}};  // helpful, honest
  ///     std::vector<std::size_t> groups{0, 4};
  ///     auto advantages = coho::gdpo(rewards, groups, {}, {1, 0.5});
  template <class Rewards, communicator Communicator = const local_communicator>
  Eigen::ArrayXd operator()(const std::vector<Rewards>& rewards, std::span<const std::size_t> groups,
                            const gdpo_options& options = {}, const std::vector<double>& weights = {},
                            Communicator&& ranks = local_communicator{}) const {
    validate(options);
    require_argument(!rewards.empty(), "gdpo: no rewards");
    require_argument(
        weights.empty() || weights.size() == rewards.size(),
        "gdpo: " + std::to_string(weights.size()) + " weights for " + std::to_string(rewards.size()) + " rewards");
    Eigen::ArrayXd out;
    // A rank that threw alone would leave the others waiting for it in the batch's moments.
    bool finite = true;
    for (std::size_t k = 0; k < rewards.size(); ++k) {
      const double weight = weights.empty() ? 1 : weights[k];
      require_argument(std::isfinite(weight), "gdpo: weight " + std::to_string(k) + " is not finite");
      const Eigen::ArrayXd list = copy_as_double(rewards[k]);
      finite = finite && list.allFinite();
      Eigen::ArrayXd one = Eigen::ArrayXd::Zero(list.size());
      if (finite || !options.batch_normalization) one = weight * group_relative(list, groups, options.each, ranks);
      require_argument(k == 0 || one.size() == out.size(),
                       "gdpo: reward " + std::to_string(k) + " has " + std::to_string(one.size()) +
                           " numbers where the first has " + std::to_string(out.size()));
      if (k == 0) {
        out = one;
      } else {
        out += one;
      }
    }
    if (!options.batch_normalization) return out;
    if (!finite) out.setConstant(std::numeric_limits<double>::quiet_NaN());
    const auto elements = detail::host_elements(out);
    const moments all =
        detail::global_moments(elements, detail::all_real{elements.size()}, options.each.deviation, ranks);
    require_argument(std::isfinite(all.mean), "gdpo: a reward is not finite");
    return (out - all.mean) / (all.deviation + options.epsilon);
  }

 private:
  template <class Rewards>
  static Eigen::ArrayXd copy_as_double(const Rewards& rewards) {
    const auto& host = detail::on_host(rewards);
    const auto elements = detail::host_elements(host);
    Eigen::ArrayXd out(static_cast<Eigen::Index>(elements.size()));
    for (std::size_t i = 0; i < elements.size(); ++i) out.data()[i] = static_cast<double>(elements[i]);
    return out;
  }
};
inline constexpr gdpo_fn gdpo{};

}  // namespace coho::inline v0_1
