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

/// The sizes of a PPO run that its plan depends on.
struct ppo_workload {
  std::filesystem::path policy{}, reward_model{};  ///< empty: the base; no reward model
  const ppo_options& options;
  std::size_t rollouts = 576;
  std::size_t prompt_tokens = 0;  ///< at most; 0: no limit
  moment_type moments = moment_type::float32;
  engine_options engine{};
  reward_role_options reward_limits{};
  bool evaluates = false;
};

/// Those of the training of a reward model.
struct reward_workload {
  std::filesystem::path from{};  ///< empty: the base
  std::size_t batch_size = 64, micro_batch_pairs = 64;
  moment_type moments = moment_type::float32;
  reward_role_options limits{};
};

/// Those of supervised fine-tuning.
struct sft_workload {
  std::filesystem::path adapter{};  ///< to continue from; empty: the base
  std::size_t batch_size = 32, micro_batch_tokens = 16384;
  std::size_t prompt_tokens = 0, response_tokens = 0;  ///< at most; 0: no limit
  moment_type moments = moment_type::float32;
};

/// Those of preference optimisation.
struct dpo_workload {
  std::filesystem::path adapter{};  ///< to continue from; empty: the base
  std::size_t batch_size = 64, micro_batch_tokens = 16384;
  std::size_t prompt_tokens = 0, response_tokens = 0;  ///< at most; 0: no limit
  std::size_t responses = 2;                           ///< of an example
  moment_type moments = moment_type::float32;
  bool keeps_log_probs = true;   ///< of the reference, computed before the first step
  bool holds_reference = false;  ///< which is evaluated in each step
};

/// Those of a stage that only generates.
struct generation_workload {
  std::filesystem::path adapter{};  ///< of the policy; empty: the base
  std::size_t batch = 64;           ///< prompts handed to the engine at a time
  std::size_t responses = 1;        ///< of a prompt
  std::size_t query_tokens = 0;     ///< of a prompt after the prefix, at most; 0: no limit
  std::size_t prefix_tokens = 0;    ///< common to all prompts, computed once
  std::size_t max_new_tokens = 256;
  engine_options engine{};
};

/// A function that plans a stage when it is called, and returns what `--dry-run` prints after the config: tensors by
/// group, peak memory per device by phase, and a prediction of time from the bandwidth and FLOP rate that the device is
/// measured to have. It opens config.json and measures, and opens no weights. For a stage that only generates: the time
/// that a thousand prompts take.
///
///     stage_planner(read_plan_settings(options, context), sft_workload{.batch_size = 32})();
std::function<std::string()> stage_planner(const plan_settings& settings, const ppo_workload& stage);
std::function<std::string()> stage_planner(const plan_settings& settings, const reward_workload& stage);
std::function<std::string()> stage_planner(const plan_settings& settings, const sft_workload& stage);
std::function<std::string()> stage_planner(const plan_settings& settings, const dpo_workload& stage);
std::function<std::string()> stage_planner(const plan_settings& settings, const generation_workload& stage);

}  // namespace coho::trainer
