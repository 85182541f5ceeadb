#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho reward`: trains a reward model on preferences, with principles (SALMON §3.3) or without (preference
/// pre-training).
///
/// Keys: model.path, reward.from (a reward model to go on from), reward.data, reward.limit, reward.evaluation (held-out
/// file), reward_prompt.*, reward.{learning_rate, head_learning_rate_factor, schedule, warmup_steps, batch_size,
/// micro_batch_pairs, epochs, gradient_norm_clip, margin, label_smoothing, centring, save_every, keep}, adapter.*.
void run_reward(const config& options, stage_context& context);
subcommand make_reward_command();

}  // namespace coho::trainer
