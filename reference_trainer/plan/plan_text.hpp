#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>

#include <coho/train/options/ppo_options.hpp>

#include "config/config.hpp"
#include "generation/engine.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// What `--dry-run` says of a stage beside its config: tensors by group, peak memory a device by phase, and a
/// prediction of time from the bandwidth and FLOP rate that the device is measured to have. Reads the keys of the
/// sections model, adapter and the stage's own at once, so that none counts as unknown; the function returned opens
/// config.json and measures, and opens no weights.
///
///     if (context.dry_run) return context.rehearse(options, plan_ppo(options, settings, context));
std::function<std::string()> plan_ppo(const config& options, const ppo_options& settings, const stage_context& context);
/// `section`: "reward" or "preference_pretraining".
std::function<std::string()> plan_reward(const config& options, const std::string& section,
                                         const stage_context& context);
std::function<std::string()> plan_sft(const config& options, const stage_context& context);

/// A stage that only generates.
struct generation_plan {
  std::filesystem::path adapter{};  ///< of the policy; empty: the base
  std::size_t batch = 64;           ///< prompts handed to the engine at a time
  std::size_t responses = 1;        ///< of a prompt
  std::size_t query_tokens = 0;     ///< of a prompt behind the prefix, at most; 0: no limit
  std::size_t prefix_tokens = 0;    ///< that all prompts begin with and that are computed once
  std::size_t max_new_tokens = 256;
  engine_options engine{};
};
/// Memory of such a stage, and the time that a thousand prompts take.
std::function<std::string()> plan_generation(const config& options, const generation_plan& stage,
                                             const stage_context& context);

}  // namespace coho::trainer
