#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <coho/advantage/group_relative.hpp>
#include <coho/advantage/return_to_go.hpp>
#include <coho/advantage/whiten.hpp>
#include <coho/concepts.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct reinforce_plus_plus_options {
  double gamma = 1;  ///< discount per token, in [0, 1]
  /// OpenRLHF divides the sum of squares by n, as here; verl by n − 1. Both whiten real tokens of the whole batch.
  whiten_options whitening{};

  static void describe(auto&& visit, auto&... o) {
    visit({"gamma", "discount per token", allowed::in(0, 1)}, o.gamma...);
    visit({"whitening", "of the advantages"}, o.whitening...);
  }
};

struct reinforce_plus_plus_fn {
  /// REINFORCE++ (Hu et al. 2025, "REINFORCE++", arXiv 2501.03262): no value model, no groups; rewards to come,
  /// normalised over the whole batch.
  ///
  ///     G_t = r_t + γ·G_{t+1},   A_t = (G_t − mean) / (deviation + ε), both over the real tokens of all ranks
  ///
  /// `rewards`: one per token, KL penalty included (`shape_rewards`); array, range or tensor. `offsets`: N + 1 entries.
  /// `mask` (optional): 0 marks tokens that are not part of the response, skipped as in `return_to_go`; their advantage
  /// is 0. A long response weighs more in the mean than a short one. Equal returns give 0 (to within rounding). Returns
  /// an Eigen array of the rewards' number type (a tensor for a tensor, detached). All ranks must call together; a rank
  /// may have no token. Throws option_error (gamma, epsilon), argument_error (lengths, offsets; on all ranks: NaN or
  /// infinity in a real token of any).
  ///
  ///     auto token_rewards = coho::shape_rewards(rewards, log_probs, reference_log_probs, offsets, finished);
  ///     auto advantages = coho::reinforce_plus_plus(token_rewards, offsets, {.gamma = 1});
  template <class Rewards, communicator Communicator = const local_communicator>
  auto operator()(const Rewards& rewards, std::span<const std::size_t> offsets,
                  const reinforce_plus_plus_options& options = {}, Communicator&& ranks = local_communicator{}) const {
    return masked_advantages(rewards, nullptr, offsets, options, ranks);
  }
  template <class Rewards, class Mask, communicator Communicator = const local_communicator>
  auto operator()(const Rewards& rewards, const Mask& mask, std::span<const std::size_t> offsets,
                  const reinforce_plus_plus_options& options = {}, Communicator&& ranks = local_communicator{}) const {
    if constexpr (!detail::host_array<Mask>) static_assert(detail::array_check<Mask>::passed);
    return masked_advantages(rewards, &mask, offsets, options, ranks);
  }

 private:
  // `mask`: a pointer to the caller's, or nullptr if all tokens are real.
  template <class Rewards, class Mask, class Communicator>
  static auto masked_advantages(const Rewards& rewards, Mask mask, std::span<const std::size_t> offsets,
                                const reinforce_plus_plus_options& options, Communicator& ranks) {
    if constexpr (!detail::host_array<Rewards>) static_assert(detail::array_check<Rewards>::passed);
    const auto& host = detail::on_host(rewards);
    const auto elements = detail::host_elements(host);
    using sums = detail::discounted_sums<detail::host_number_t<decltype(host)>>;
    // `whiten` reports non-finite values, on all ranks alike.
    const auto advantages = [&](const auto& real) {
      const sums returns(elements, real, offsets, options.gamma, "reinforce_plus_plus");
      return whiten(returns.values, real, options.whitening, ranks);
    };
    if constexpr (std::is_null_pointer_v<Mask>) {
      return detail::from_host_as(advantages(std::vector<std::uint8_t>(elements.size(), 1)), rewards);
    } else {
      const auto& mask_local = detail::on_host(*mask);
      return detail::from_host_as(advantages(detail::host_elements(mask_local)), rewards);
    }
  }
};
inline constexpr reinforce_plus_plus_fn reinforce_plus_plus{};

struct reinforce_plus_plus_baseline_fn {
  /// REINFORCE++-baseline (same paper): several responses per prompt, whose mean is the baseline; the
  /// batch deviation replaces the group's own.
  ///
  ///     B_i = r_i − mean of the group,   A_t = (B_i − mean) / (deviation + ε) for each token t of response i
  ///
  /// with mean and deviation over the real tokens of all ranks. The paper leaves the KL penalty to the loss; to put it
  /// into the rewards, shape `group_relative` rewards without scale, and give them to `reinforce_plus_plus`.
  ///
  /// `sequence_rewards`: one per response (array, range or tensor). `groups`: group g is the responses [groups[g],
  /// groups[g + 1]). `offsets`: where each response's tokens begin, one entry more than there are responses. `mask`
  /// (optional): 0 marks tokens that are not part of the response; their advantage is 0. A response in a group of one
  /// has B = 0. Returns one advantage per token, an Eigen array of double (a tensor for a tensor, detached). All ranks
  /// must call together. Throws as `reinforce_plus_plus`.
  ///
  ///     std::vector<double> rewards{1, 0, 1, 1};
  ///     std::vector<std::size_t> groups{0, 2, 4}, offsets{0, 5, 9, 12, 20};
  ///     auto advantages = coho::reinforce_plus_plus_baseline(rewards, groups, offsets);
  template <class Rewards, communicator Communicator = const local_communicator>
  auto operator()(const Rewards& sequence_rewards, std::span<const std::size_t> groups,
                  std::span<const std::size_t> offsets, const whiten_options& whitening = {},
                  Communicator&& ranks = local_communicator{}) const {
    const std::vector<std::uint8_t> all(offsets.empty() ? 0 : offsets.back(), 1);
    return (*this)(sequence_rewards, groups, all, offsets, whitening, ranks);
  }
  template <class Rewards, class Mask, communicator Communicator = const local_communicator>
  auto operator()(const Rewards& sequence_rewards, std::span<const std::size_t> groups, const Mask& mask,
                  std::span<const std::size_t> offsets, const whiten_options& whitening = {},
                  Communicator&& ranks = local_communicator{}) const {
    if constexpr (!detail::host_array<Rewards>) static_assert(detail::array_check<Rewards>::passed);
    if constexpr (!detail::host_array<Mask>) static_assert(detail::array_check<Mask>::passed);
    const auto& host = detail::on_host(sequence_rewards);
    const auto& real = detail::on_host(mask);
    const auto rewards = detail::host_elements(host);
    detail::check_groups(groups, rewards.size(), "reinforce_plus_plus_baseline");
    // As above, `whiten` reports non-finite values.
    Eigen::ArrayXd centred(static_cast<Eigen::Index>(rewards.size()));
    for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
      detail::subtract_group_mean(rewards, groups[g], groups[g + 1], centred.data());
    }
    return detail::from_host_as(whiten(sequence_spread(std::as_const(centred), offsets), real, whitening, ranks),
                                sequence_rewards);
  }
};
inline constexpr reinforce_plus_plus_baseline_fn reinforce_plus_plus_baseline{};

}  // namespace coho::inline v0_1
