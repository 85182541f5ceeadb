#pragma once

#include <string>

#include "cli/options.hpp"
#include "roles/reward_role.hpp"
#include "stages/model_files.hpp"

namespace coho::trainer {

/// A reward model as the keys of a section say: template, plain_template, query_tokens, response_tokens, scoring_tokens.
reward_role make_reward_role(loaded_model& model, const std::string& role, const config& section);

}  // namespace coho::trainer
