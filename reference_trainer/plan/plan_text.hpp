#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>

#include <coho/train/options/ppo_options.hpp>

#include "generation/engine.hpp"
#include "optimization/moment_type.hpp"
#include "plan/plan_settings.hpp"
#include "roles/reward_role.hpp"

namespace coho::trainer {

/// What a plan reads of a PPO run.
struct ppo_plan {
  std::filesystem::path policy{}, reward_model{};  ///< empty: the base; no reward model
  const ppo_options& options;
  std::size_t rollouts = 576;
  std::size_t prompt_tokens = 0;  ///< at most; 0: no limit
  moment_type moments = moment_type::float32;
  engine_options engine{};
  reward_role_options reward_limits{};
  bool evaluates = false;
};

/// What a plan reads of the training of a reward model.
struct reward_plan {
  std::filesystem::path from{};  ///< empty: the base
  std::size_t batch_size = 64, micro_batch_pairs = 64;
  moment_type moments = moment_type::float32;
  reward_role_options limits{};
};

/// What a plan reads of supervised fine-tuning.
struct sft_plan {
  std::filesystem::path adapter{};  ///< to continue from; empty: the base
  std::size_t batch_size = 32, micro_batch_tokens = 16384;
  std::size_t prompt_tokens = 0, response_tokens = 0;  ///< at most; 0: no limit
  moment_type moments = moment_type::float32;
};

/// A stage that only generates.
struct generation_plan {
  std::filesystem::path adapter{};  ///< of the policy; empty: the base
  std::size_t batch = 64;           ///< prompts handed to the engine at a time
  std::size_t responses = 1;        ///< of a prompt
  std::size_t query_tokens = 0;     ///< of a prompt after the prefix, at most; 0: no limit
  std::size_t prefix_tokens = 0;    ///< common to all prompts, computed once
  std::size_t max_new_tokens = 256;
  engine_options engine{};
};

/// What `--dry-run` prints for a stage after its config: tensors by group, peak memory per device by phase, and a
/// prediction of time from the bandwidth and FLOP rate that the device is measured to have. The function returned opens
/// config.json and measures, and opens no weights. For a stage that only generates: the time that a thousand prompts
/// take.
///
///     plan_text(read_plan(options, context), sft_plan{.batch_size = 32})();
std::function<std::string()> plan_text(const plan_settings& settings, const ppo_plan& stage);
std::function<std::string()> plan_text(const plan_settings& settings, const reward_plan& stage);
std::function<std::string()> plan_text(const plan_settings& settings, const sft_plan& stage);
std::function<std::string()> plan_text(const plan_settings& settings, const generation_plan& stage);

}  // namespace coho::trainer
