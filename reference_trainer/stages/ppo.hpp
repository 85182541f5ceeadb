#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho ppo`: trains a policy against a principle-following reward model and symbolic rewards (SALMON §3.3, §4.1.2).
///
/// Keys: model.path, ppo.policy (start of policy and reference; empty: the base), ppo.reward_model (empty: symbolic
/// rewards alone), ppo.prompts, ppo.long_prompts ("drop", "cut": what becomes of prompts beyond prompt.max_tokens),
/// ppo.rollouts, ppo.steps, ppo.preset ("paper", "salmon_code"), ppo.principles,
/// ppo.principles_per_prompt, ppo.interventions, ppo.intervention_position, ppo.language_bonus, ppo.length_bonus.*, the
/// optimizer's and ppo_options' own names, reward_prompt.*, ppo.reward_prompt.*, generation.*, prompt.*,
/// adapter.* (dropout is off).
void run_ppo(const config& options, stage_context& context);
subcommand make_ppo_command();

}  // namespace coho::trainer
