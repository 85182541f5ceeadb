#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace coho::inline v0_1 {

/// A named part of a bonus, such as the one for length.
struct reward_part {
  std::string name{};
  double value = 0;
  friend bool operator==(const reward_part&, const reward_part&) = default;
};

/// The parts of one response's reward, before the clip and scale of reward shaping and without the KL penalty:
///
///     total = score + Σ bonus + empty + unfinished
///
/// `compose_reward` fills in the first two, `settle_rewards` the others, which depend on all responses of a step.
struct reward_breakdown {
  double score = 0;                  ///< from the reward model, normalised
  std::vector<reward_part> bonus{};  ///< of `ppo_models::bonus`, in parts if it offers them
  double empty = 0;                  ///< change made by the rule for empty responses
  double unfinished = 0;             ///< change made by the penalty: the penalty itself if added, else penalty − rest

  /// Everything but the penalty for unfinished responses.
  double earned() const noexcept {
    double out = score;
    for (const auto& one : bonus) out += one.value;
    return out + empty;
  }
  /// The whole reward, the penalty included.
  double total() const noexcept { return earned() + unfinished; }
  /// A part of the bonus; 0 if no part has that name.
  double part(std::string_view name) const noexcept {
    for (const auto& one : bonus)
      if (one.name == name) return one.value;
    return 0;
  }
  friend bool operator==(const reward_breakdown&, const reward_breakdown&) = default;
};

}  // namespace coho::inline v0_1
