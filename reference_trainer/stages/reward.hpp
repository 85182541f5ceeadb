#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho reward`: trains a reward model on preferences, with principles (SALMON §3.3) or without (preference
/// pre-training).
///
/// Keys: model.path, reward.from (a reward model to go on from), reward.{data, evaluation, limit, evaluation_limit,
/// evaluation_share, principles} (preference_data.hpp), reward_prompt.*, reward.{learning_rate,
/// head_learning_rate_factor, head_init, schedule, schedule_steps, warmup_steps, batch_size, micro_batch_pairs, epochs,
/// gradient_norm_clip, margin, margins, reward_prompt.*, label_smoothing, centring, save_every, keep, evaluate_every,
/// statistics_pairs}, adapter.*. With `--pretrain` those of the section preference_pretraining, whose defaults are
/// those of the paper's pre-training.
///
/// Pairs stay in their files. Held-out pairs are evaluated at the end and every `evaluate_every` steps: curves
/// evaluation_* of the metrics, and evaluation.json (preference_measures.hpp, with the step); those of evaluation_share
/// are written to held_out.jsonl. The scores' mean and
/// deviation over them, or over `statistics_pairs` training pairs, go into reward_statistics.json.
void run_reward(const config& options, stage_context& context);
subcommand make_reward_command();

}  // namespace coho::trainer
