#pragma once

#include <algorithm>
#include <cmath>
#include <coho/advantage/whiten.hpp>
#include <coho/concepts.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/kl/estimators.hpp>
#include <coho/loss/token_loss.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace coho {

/// What the unfinished penalty does to the reward of a response that no stop sequence ended.
enum class unfinished_mode { add, replace };
constexpr auto option_names(unfinished_mode) { return std::array{"add", "replace"}; }

/// The token that receives the reward of its sequence.
enum class reward_placement {
  last_real_token,  ///< the last token whose mask is 1
  /// The last position of the sequence's slot [offsets[i], offsets[i + 1]), padding or not. In a batch padded to a
  /// fixed response length that is the fixed last position of AlpacaFarm's and SALMON's code. In an unpadded batch it
  /// is the last token. With γ = λ = 1 the advantages of real tokens are the same for both placements.
  last_position,
};
constexpr auto option_names(reward_placement) { return std::array{"last_real_token", "last_position"}; }

struct shaping_options {
  double kl_coefficient = 0.02;  ///< β; finite and at least 0
  kl_estimator estimator = kl_estimator::k1;
  double kl_clip = 0;             ///< limits each KL_t to ±this; 0 is off
  double reward_clip = 0;         ///< limits each sequence reward to ±this, before the penalty; 0 is off
  double unfinished_penalty = 0;  ///< for responses with finished = 0; negative to punish; finite
  unfinished_mode unfinished = unfinished_mode::add;
  reward_placement placement = reward_placement::last_real_token;
  double scale = 1;     ///< factor on the shaped rewards, KL included, when they are not whitened; finite
  bool whiten = false;  ///< divide the shaped rewards by their deviation instead of scaling them
  whiten_options whitening{.keep_mean = true};

  /// SALMON's paper: §3.1 eq. 2 and App. F. Unbounded k1 at 0.02, reward on the last real token.
  static shaping_options paper() { return {}; }
  /// The released code: β 0.01, each KL_t at least 0, reward at the fixed last position, −6 added when unfinished, ×10.
  static shaping_options salmon_code() {
    return {.kl_coefficient = 0.01,
            .estimator = kl_estimator::k1_clamped,
            .unfinished_penalty = -6,
            .placement = reward_placement::last_position,
            .scale = 10,
            .whitening = {.keep_mean = true, .scope = whiten_scope::all_positions}};
  }

  static void describe(auto&& visit, auto&... o) {
    visit({"kl_coefficient", "β: weight of the KL penalty", allowed::at_least(0)}, o.kl_coefficient...);
    visit({"estimator", "of the KL of a token"}, o.estimator...);
    visit({"kl_clip", "limits each token's KL to ± this; 0: off", allowed::bound(), "nats"}, o.kl_clip...);
    visit({"reward_clip", "limits each response's reward to ± this, before the penalty; 0: off", allowed::bound()},
          o.reward_clip...);
    visit({"unfinished_penalty", "reward of a response that no stop ended; negative to punish"},
          o.unfinished_penalty...);
    visit({"unfinished", "whether that penalty is added to the reward or replaces it"}, o.unfinished...);
    visit({"placement", "the token that receives the reward of its response"}, o.placement...);
    visit({"scale", "factor on the shaped rewards, KL included"}, o.scale...);
    visit({"whiten", "divide the shaped rewards by their deviation instead of scaling them"}, o.whiten...);
    visit({"whitening", "how, with whiten"}, o.whitening...);
  }
  /// Throws `option_error` for the first option out of its range, named with `prefix` before it.
  void validate(const std::string& prefix = {}) const { coho::validate(*this, prefix); }
};

struct shape_rewards_fn {
  /// Token rewards of N packed responses from one reward a sequence and a KL penalty a token:
  ///
  ///     r_t = scale·( −β·KL_t + [t is the placement of i]·R_i ),   R_i = clip(reward_i) + [unfinished]·penalty
  ///
  /// `sequence_rewards`: N numbers. `log_probs` (policy), `reference_log_probs`: one a token, nats, of the tempered
  /// distribution that was sampled. `mask` (optional): one number a token, 0 for padding, whose log-probs are not read
  /// and whose KL is 0. `offsets`: N + 1 entries. `finished`: N flags; empty means all. Arrays and ranges give an Eigen
  /// array of double, tensors a tensor. A response without any real token has no place for its reward, which is
  /// dropped; use `reward_placement::last_position` and padding to keep it. When `whiten` is set, all ranks must call
  /// together. Throws option_error (options out of range), argument_error (lengths, offsets, a token reward that is not
  /// finite).
  ///
  ///     coho::shaping_options options = coho::shaping_options::paper();
  ///     options.kl_coefficient = controller.coefficient();
  ///     auto token_rewards = coho::shape_rewards(rewards, log_probs, reference_log_probs, offsets, finished, options);
  template <class Rewards, class LogProbs, class Reference, communicator Communicator = const local_communicator>
  auto operator()(const Rewards& sequence_rewards, const LogProbs& log_probs, const Reference& reference_log_probs,
                  std::span<const std::size_t> offsets, std::span<const std::uint8_t> finished,
                  const shaping_options& options = {}, Communicator&& ranks = local_communicator{}) const {
    return shape(sequence_rewards, log_probs, reference_log_probs, nullptr, offsets, finished, options, ranks);
  }
  template <class Rewards, class LogProbs, class Reference, class Mask,
            communicator Communicator = const local_communicator>
  auto operator()(const Rewards& sequence_rewards, const LogProbs& log_probs, const Reference& reference_log_probs,
                  const Mask& mask, std::span<const std::size_t> offsets, std::span<const std::uint8_t> finished,
                  const shaping_options& options = {}, Communicator&& ranks = local_communicator{}) const {
    return shape(sequence_rewards, log_probs, reference_log_probs, &mask, offsets, finished, options, ranks);
  }

 private:
  template <class Rewards, class LogProbs, class Reference, class Mask, class Communicator>
  static auto shape(const Rewards& sequence_rewards, const LogProbs& log_probs, const Reference& reference_log_probs,
                    Mask mask, std::span<const std::size_t> offsets, std::span<const std::uint8_t> finished,
                    const shaping_options& options, Communicator& ranks) {
    static_assert(detail::array_check<Rewards, LogProbs, Reference>::passed);
    const auto& rewards_local = detail::on_host(sequence_rewards);
    const auto& log_probs_local = detail::on_host(log_probs);
    const auto& reference_local = detail::on_host(reference_log_probs);
    const auto rewards = detail::host_elements(rewards_local);
    const auto policy = detail::host_elements(log_probs_local);
    const auto reference = detail::host_elements(reference_local);
    auto shaped = [&] {
      if constexpr (std::is_null_pointer_v<Mask>) {
        return run(rewards, policy, reference, detail::all_real{policy.size()}, offsets, finished, options, ranks);
      } else {
        const auto& mask_local = detail::on_host(*mask);
        return run(rewards, policy, reference, detail::host_elements(mask_local), offsets, finished, options, ranks);
      }
    }();
    return detail::back_to(std::move(shaped), log_probs);
  }

  template <class Rewards, class Policy, class Reference, class Mask, class Communicator>
  static Eigen::ArrayXd run(const Rewards& rewards, const Policy& policy, const Reference& reference, const Mask& mask,
                            std::span<const std::size_t> offsets, std::span<const std::uint8_t> finished,
                            const shaping_options& options, Communicator& ranks) {
    options.validate();
    detail::check_lengths(policy.size(), reference.size(), "shape_rewards", "reference_log_probs");
    detail::check_lengths(policy.size(), mask.size(), "shape_rewards", "mask");
    detail::check_offsets(offsets, policy.size(), "shape_rewards");
    const std::size_t sequences = offsets.size() - 1;
    detail::check_lengths(sequences, rewards.size(), "shape_rewards", "sequence_rewards");
    if (!finished.empty()) detail::check_lengths(sequences, finished.size(), "shape_rewards", "finished");

    Eigen::ArrayXd out(static_cast<Eigen::Index>(policy.size()));
    const double scale = options.whiten ? 1 : options.scale;
    const double factor = scale * options.kl_coefficient;
    const double reward_limit = options.reward_clip > 0 ? options.reward_clip : std::numeric_limits<double>::infinity();
    double broken = 0;  // NaN as soon as anything is not finite
    const auto fill = [&](auto estimator, auto limited) {
      if constexpr (estimator() == kl_estimator::k1 && !limited()) {
        broken += store_k1(policy, reference, mask, factor, out.data());
        return;
      }
      constexpr std::size_t block = detail::token_block;
      using number = std::common_type_t<detail::host_number_t<Policy>, detail::host_number_t<Reference>>;
      detail::block<number> policy_scratch, reference_scratch;
      detail::block<double> kl;
      for (std::size_t begin = 0; begin < policy.size(); begin += block) {
        const std::size_t count = std::min(policy.size() - begin, block);
        const number* const p = policy_scratch.view(policy, begin, count);
        const number* const r = reference_scratch.view(reference, begin, count);
        double* const to = out.data() + begin;
        detail::store_difference(1, p, r, kl.data);
        if constexpr (!std::is_same_v<Mask, detail::all_real>) {
          for (std::size_t k = 0; k < count; ++k) kl[k] = detail::keep_if(mask[begin + k] != 0, kl[k]);
        }
        if constexpr (estimator() != kl_estimator::k1) {
          for (std::size_t k = 0; k < block; ++k) kl[k] = detail::kl_of(kl[k], estimator());
        }
        if constexpr (limited()) {
          for (std::size_t k = 0; k < block; ++k) kl[k] = detail::limit(kl[k], -options.kl_clip, options.kl_clip);
        }
        broken += detail::defect(kl.data);
        for (std::size_t k = 0; k < count; ++k) to[k] = 0.0 - factor * kl[k];
      }
    };
    detail::with_estimator(options.estimator, [&](auto estimator) {
      options.kl_clip > 0 ? fill(estimator, std::true_type{}) : fill(estimator, std::false_type{});
    });
    for (std::size_t i = 0; i < sequences; ++i) {
      std::size_t end = offsets[i + 1];  // one after the token that is rewarded
      if (options.placement == reward_placement::last_real_token) {
        while (end - offsets[i] >= detail::mask_part &&
               detail::count_real(mask, end - detail::mask_part, detail::mask_part) == 0) {
          end -= detail::mask_part;
        }
        while (end > offsets[i] && mask[end - 1] == 0) --end;
      }
      if (end == offsets[i]) continue;
      require_argument(!options.whiten || options.whitening.scope == whiten_scope::all_positions || mask[end - 1] != 0,
                       "shape_rewards: the reward of a sequence lies on padding, which whitening would set to 0; "
                       "whiten all_positions, or place the reward on the last real token");
      double reward = array_traits<double>::clamp(static_cast<double>(rewards[i]), -reward_limit, reward_limit);
      if (!finished.empty() && finished[i] == 0) {
        reward = options.unfinished == unfinished_mode::add ? reward + options.unfinished_penalty
                                                            : options.unfinished_penalty;
      }
      broken += reward - reward;
      out.data()[end - 1] += scale * reward;
    }
    require_argument(broken == 0, "shape_rewards: a sequence reward or the KL of a real token is not finite");
    if (options.whiten) out = coho::whiten(out, whitened_positions(mask), options.whitening, ranks);
    return out;
  }

  // −factor·(log π − log π_ref), and 0, or NaN when one of them is not finite, in one pass.
  template <class Policy, class Reference, class Mask>
  static double store_k1(const Policy& policy, const Reference& reference, const Mask& mask, double factor,
                         double* out) {
    double total = 0;
    detail::for_mask_parts(mask, 0, policy.size(),
                           [&](std::size_t begin, std::size_t end, std::size_t real, const auto& kept) {
                             if (real == 0) {
                               std::fill(out + begin, out + end, 0.0);
                             } else {
                               total += store_k1(policy.data(), reference.data(), kept, factor, out, begin, end);
                             }
                           });
    if (factor <= 0) {  // no −0
      for (std::size_t t = 0; t < policy.size(); ++t) out[t] += 0.0;
    }
    if (std::isfinite(total)) return 0;
    // Large numbers have no finite sum.
    double defect = 0;
    for (std::size_t t = 0; t < policy.size(); ++t) defect += out[t] - out[t];
    return defect;
  }

  // Of [t, end); returns the sum. Eight sums beside each other, because compilers may not reorder additions.
  template <class Number, class Other, class Mask>
  static double store_k1(const Number* p, const Other* r, const Mask& mask, double factor, double* __restrict out,
                         std::size_t t, std::size_t end) {
    constexpr std::size_t lanes = 8;
    double sums[lanes] = {}, some[lanes];
    for (; end - t >= lanes; t += lanes) {
      for (std::size_t k = 0; k < lanes; ++k)
        some[k] = factor * (static_cast<double>(r[t + k]) - static_cast<double>(p[t + k]));
      if constexpr (!std::is_same_v<Mask, detail::all_real>) {
        for (std::size_t k = 0; k < lanes; ++k) some[k] = detail::keep_if(mask[t + k] != 0, some[k]);
      }
      for (std::size_t k = 0; k < lanes; ++k) sums[k] += some[k];
      for (std::size_t k = 0; k < lanes; ++k) out[t + k] = some[k];
    }
    for (; t < end; ++t) {
      const double value = factor * (static_cast<double>(r[t]) - static_cast<double>(p[t]));
      sums[0] += out[t] = detail::keep_if(mask[t] != 0, value);
    }
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
  }

  template <class Mask>
  static std::span<const typename Mask::value_type> whitened_positions(const Mask& mask) {
    return {mask.data(), mask.size()};
  }
  static std::vector<std::uint8_t> whitened_positions(const detail::all_real& mask) {
    return std::vector<std::uint8_t>(mask.size(), 1);
  }
};
inline constexpr shape_rewards_fn shape_rewards{};

}  // namespace coho
