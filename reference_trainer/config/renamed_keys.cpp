#include "config/renamed_keys.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "config/spelling.hpp"

namespace coho::trainer {
namespace {

struct renaming {
  std::string_view sections;  ///< that the key was in, with a space before and after each
  std::string_view before, now;
};

constexpr std::string_view training = " ppo sft reward preference_pretraining ", ppo = " ppo ", sft = " sft ",
                           pairs = " reward preference_pretraining ";

constexpr std::array renamings{
    renaming{training, "learning_rate", "learning_rate.peak"},
    renaming{training, "schedule", "learning_rate.kind"},
    renaming{training, "warmup_steps", "learning_rate.warmup_steps"},
    renaming{training, "schedule_steps", "learning_rate.total_steps"},
    renaming{training, "floor_fraction", "learning_rate.floor_fraction"},
    renaming{training, "beta1", "optimizer.beta1"},
    renaming{training, "beta2", "optimizer.beta2"},
    renaming{training, "epsilon", "optimizer.epsilon"},
    renaming{training, "weight_decay", "optimizer.weight_decay"},
    renaming{training, "moments", "optimizer.moments"},
    renaming{ppo, "kl_coefficient", "shaping.kl_coefficient"},
    renaming{ppo, "kl_estimator", "shaping.estimator"},
    renaming{ppo, "kl_clip", "shaping.kl_clip"},
    renaming{ppo, "unfinished_penalty", "shaping.unfinished_penalty"},
    renaming{ppo, "unfinished_mode", "shaping.unfinished"},
    renaming{ppo, "reward_scale", "shaping.scale"},
    renaming{ppo, "whiten_rewards", "shaping.whiten"},
    renaming{ppo, "adaptive_kl_target", "adaptive_kl.target"},
    renaming{ppo, "adaptive_kl_horizon", "adaptive_kl.horizon"},
    renaming{ppo, "gamma", "gae.gamma"},
    renaming{ppo, "lambda", "gae.lambda"},
    renaming{ppo, "clip_low", "policy_clip.clip_low"},
    renaming{ppo, "clip_high", "policy_clip.clip_high"},
    renaming{ppo, "value_clip", "value_clip.clip"},
    renaming{ppo, "scoring_tokens", "scoring_batch.tokens"},
    renaming{ppo, "micro_batch_tokens", "micro_batch.tokens"},
    renaming{ppo, "normalization", "normalization.from"},
    renaming{ppo, "normalization_samples", "normalization.samples"},
    renaming{sft, "micro_batch_tokens", "micro_batch.tokens"},
    renaming{pairs, "micro_batch_pairs", "micro_batch.sequences"},
    renaming{pairs, "margin", "loss.margin"},
    renaming{pairs, "label_smoothing", "loss.label_smoothing"},
    renaming{pairs, "centring", "loss.centring"},
    renaming{" distributed ", "shares", "shards"},
};

}  // namespace

std::string renamed_key(std::string_view key) {
  const auto point = key.find('.');
  if (point == std::string_view::npos) return {};
  const auto section = " " + std::string(key.substr(0, point)) + " ";
  const auto found = std::ranges::find_if(renamings, [&](const renaming& one) {
    return one.before == key.substr(point + 1) && one.sections.find(section) != std::string_view::npos;
  });
  if (found == renamings.end()) return {};
  return std::string(key.substr(0, point + 1)) + std::string(found->now);
}

std::string nearest_renamed_key(std::string_view key) {
  const auto point = key.find('.');
  if (point == std::string_view::npos) return {};
  const std::string section(key.substr(0, point));
  std::vector<std::string> former;
  for (const auto& one : renamings)
    if (one.sections.find(" " + section + " ") != std::string_view::npos)
      former.push_back(section + "." + std::string(one.before));
  const auto meant = nearest(key, former);
  return meant.empty() ? std::string() : renamed_key(meant);
}

}  // namespace coho::trainer
