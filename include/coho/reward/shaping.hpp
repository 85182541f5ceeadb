#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <coho/advantage/whiten.hpp>
#include <coho/array_view.hpp>
#include <coho/check_lengths.hpp>
#include <coho/concepts.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/kl/estimators.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

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
    visit({"estimator", "estimator of the KL of a token"}, o.estimator...);
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
  /// The reward of an unfinished response, given its reward without the penalty.
  double reward_with_penalty(double reward) const noexcept {
    return replaces() ? unfinished_penalty : reward + unfinished_penalty;
  }
  /// The change that this makes: the penalty itself where it is added.
  double penalty_on(double reward) const noexcept {
    return replaces() ? unfinished_penalty - reward : unfinished_penalty;
  }
  /// Whether an unfinished response is penalised at all.
  bool penalises() const noexcept { return replaces() || unfinished_penalty != 0; }

  /// Throws `option_error` for the first option out of its range, its name prefixed with `prefix`.
  void validate(const std::string& prefix = {}) const { coho::validate(*this, prefix); }

 private:
  bool replaces() const noexcept { return unfinished == unfinished_mode::replace; }
};

/// Named inputs of `shape_rewards` for N responses. `Array` is double (the default where only braces are written),
/// float, or a tensor type.
template <class Array = double>
struct shape_rewards_inputs {
  [[no_unique_address]] detail::by_name only_by_name = detail::named;
  typename detail::input_types<Array>::number sequence_rewards;  ///< R_i: N numbers
  typename detail::input_types<Array>::number log_probs;  ///< log π(y_t), nats, of the tempered distribution sampled
  typename detail::input_types<Array>::number reference_log_probs;  ///< log π_ref(y_t), nats, of the same tokens
  optional_mask<Array> mask{};               ///< 0 for padding, whose log-probs are ignored and whose KL is 0
  std::span<const std::size_t> offsets{};    ///< N + 1 entries
  std::span<const std::uint8_t> finished{};  ///< N flags: ended by itself; empty: all did
};

struct shape_rewards_fn {
  /// Token rewards of N packed responses from one reward per sequence and a KL penalty per token:
  ///
  ///     r_t = scale·( −β·KL_t + [t is the placement of i]·R_i ),   R_i = clip(reward_i) + [unfinished]·penalty
  ///
  /// Takes `shape_rewards_inputs`. Arrays and ranges give an Eigen array of double, tensors a tensor. A response
  /// without a real token loses its reward, as no token can hold it; use `reward_placement::last_position` and
  /// padding to keep it. When `whiten` is set, all ranks must call together. Throws option_error (options out of
  /// range), argument_error (lengths, offsets, a non-finite token reward).
  ///
  ///     coho::shaping_options options = coho::shaping_options::paper();
  ///     options.kl_coefficient = controller.coefficient();
  ///     auto token_rewards = coho::shape_rewards({.sequence_rewards = rewards, .log_probs = log_probs,
  ///                                               .reference_log_probs = reference, .offsets = offsets,
  ///                                               .finished = finished}, options);
  template <class Array = double, communicator Communicator = const local_communicator>
  auto operator()(const shape_rewards_inputs<Array>& in, const shaping_options& options = {},
                  Communicator&& ranks = local_communicator{}) const {
    if constexpr (detail::device_array<Array>) {
      return detail::from_host_as((*this)(host_inputs(in), options, ranks), in.log_probs);
    } else {
      options.validate();
      const auto tokens = static_cast<std::size_t>(in.log_probs.size());
      detail::check_lengths(tokens, static_cast<std::size_t>(in.reference_log_probs.size()), "shape_rewards",
                            "reference_log_probs");
      detail::check_offsets(in.offsets, tokens, "shape_rewards");
      const std::size_t sequences = in.offsets.size() - 1;
      detail::check_lengths(sequences, static_cast<std::size_t>(in.sequence_rewards.size()), "shape_rewards",
                            "sequence_rewards");
      if (!in.finished.empty()) detail::check_lengths(sequences, in.finished.size(), "shape_rewards", "finished");
      return detail::with_mask(in.mask, tokens, "shape_rewards",
                               [&](const auto& mask) { return shape(in, mask, options, ranks); });
    }
  }

 private:
  // Tensors copied to the host.
  template <detail::device_array Array>
  static shape_rewards_inputs<double> host_inputs(const shape_rewards_inputs<Array>& in) {
    return {.sequence_rewards = detail::on_host(in.sequence_rewards),
            .log_probs = detail::on_host(in.log_probs),
            .reference_log_probs = detail::on_host(in.reference_log_probs),
            .mask = detail::host_mask(in.mask),
            .offsets = in.offsets,
            .finished = in.finished};
  }

  // The KL penalty of each token, then each sequence's reward on its token, then whitening.
  template <class Number, class Mask, class Communicator>
  static Eigen::ArrayXd shape(const shape_rewards_inputs<Number>& in, const Mask& mask, const shaping_options& options,
                              Communicator& ranks) {
    const double scale = options.whiten ? 1 : options.scale;
    Eigen::ArrayXd out(in.log_probs.size());
    bool finite = true;
    detail::with_estimator(options.estimator, [&](auto estimator) {
      finite = write_penalties<estimator()>(in, mask, scale * options.kl_coefficient, options.kl_clip, out.data());
    });
    for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
      std::size_t end = in.offsets[i + 1];  // one past the rewarded token
      if (options.placement == reward_placement::last_real_token) {
        while (end > in.offsets[i] && mask[end - 1] == 0) --end;
      }
      if (end == in.offsets[i]) continue;
      require_argument(!options.whiten || options.whitening.scope == whiten_scope::all_positions || mask[end - 1] != 0,
                       "shape_rewards: the reward of a sequence lies on padding, which whitening would set to 0; "
                       "whiten all_positions, or place the reward on the last real token");
      const double reward = sequence_reward(in, i, options);
      finite = finite && std::isfinite(reward);
      out.data()[end - 1] += scale * reward;
    }
    require_argument(finite, "shape_rewards: a sequence reward or the KL of a real token is not finite");
    if (options.whiten) out = coho::whiten(out, mask_flags(mask), options.whitening, ranks);
    return out;
  }

  // Writes −factor·KL_t of each token to `out`, 0 where it is masked; returns whether all are finite. By blocks,
  // because masks are runs: most blocks are all real, and their loop has no choice to make.
  template <kl_estimator Estimator, class Number, class Mask>
  static bool write_penalties(const shape_rewards_inputs<Number>& in, const Mask& mask, double factor, double clip,
                              double* out) {
    const Number *const policy = in.log_probs.data(), *const reference = in.reference_log_probs.data();
    bool finite = true;
    const auto real_tokens = [&](std::size_t begin, std::size_t end) {
      const auto all = [&](const auto& limited) {
        return write_real_penalties<Estimator>(policy + begin, reference + begin, end - begin, factor, limited,
                                               out + begin);
      };
      finite &= clip > 0 ? all([clip](double kl) { return array_traits<double>::clamp(kl, -clip, clip); })
                         : all([](double kl) { return kl; });
    };
    constexpr std::size_t block = 128;
    for (std::size_t begin = 0; begin < mask.size(); begin += block) {
      const std::size_t end = std::min(begin + block, mask.size());
      std::size_t real = 0;
      for (std::size_t t = begin; t < end; ++t) real += mask[t] != 0;
      if (real == end - begin) {
        real_tokens(begin, end);
        continue;
      }
      std::fill(out + begin, out + end, 0.0);
      for (std::size_t t = begin; real > 0 && t < end; ++t) {
        if (mask[t] != 0) real_tokens(t, t + 1);
      }
    }
    return finite;
  }

  // The same for `size` real tokens, with `limited` as the clip of a KL.
  template <kl_estimator Estimator, class Number>
  static bool write_real_penalties(const Number* policy, const Number* reference, std::size_t size, double factor,
                                   const auto& limited, double* __restrict out) {
    std::uint64_t broken = 0;  // bits of differences: compilers do not reorder additions, but they vectorise this
    for (std::size_t t = 0; t < size; ++t) {
      const double difference = static_cast<double>(policy[t]) - static_cast<double>(reference[t]);
      const double kl = limited(detail::kl_value<Estimator>(difference));
      broken |= std::bit_cast<std::uint64_t>(kl - kl);
      out[t] = 0.0 - factor * kl;
    }
    return broken == 0;
  }

  // R_i: the reward of response i, clipped, then with the penalty if it is unfinished.
  template <class Number>
  static double sequence_reward(const shape_rewards_inputs<Number>& in, std::size_t i, const shaping_options& options) {
    const double limit = options.reward_clip > 0 ? options.reward_clip : std::numeric_limits<double>::infinity();
    const double reward =
        array_traits<double>::clamp(static_cast<double>(in.sequence_rewards.data()[i]), -limit, limit);
    return in.finished.empty() || in.finished[i] != 0 ? reward : options.reward_with_penalty(reward);
  }

  // Any form of mask as an array, which `whiten` takes.
  template <class Mask>
  static std::vector<std::uint8_t> mask_flags(const Mask& mask) {
    std::vector<std::uint8_t> out(mask.size());
    for (std::size_t t = 0; t < out.size(); ++t) out[t] = mask[t] != 0;
    return out;
  }
};
inline constexpr shape_rewards_fn shape_rewards{};

}  // namespace coho::inline v0_1
