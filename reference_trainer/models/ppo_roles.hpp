#pragma once

#include <filesystem>

#include "models/model_files.hpp"
#include "run/stage_context.hpp"
#include "settings/model_settings.hpp"

namespace coho::trainer {

/// The starting points of PPO's roles.
struct ppo_role_settings {
  model_settings model{};
  adapter_settings adapter{};
  std::filesystem::path policy{};        ///< of policy and reference; empty: the base
  std::filesystem::path reward_model{};  ///< of the reward model and the value model; empty: none
  bool zero_value_head = true;           ///< in place of the reward model's
};

/// Loads the base with the roles "reference", "policy", "value" and, where there is a reward model, "reward": reference
/// and reward frozen, dropout off. Throws file_error, config_error.
loaded_model load_ppo_roles(const ppo_role_settings& settings, stage_context& context);

}  // namespace coho::trainer
