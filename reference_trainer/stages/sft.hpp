#pragma once

#include <vector>

#include <coho/train/supervised.hpp>

#include "cli/application.hpp"
#include "data/records.hpp"
#include "stages/model_files.hpp"
#include "stages/prompting.hpp"

namespace coho::trainer {

/// A record as it is learnt: the prompt in the prompter's form, then the response and the end token, which alone count
/// in the loss. Of a response of `max_response_tokens` or more the first so many are learnt, without an end token (0:
/// no limit).
supervised_example make_supervised_example(const sft_record& record, const prompter& prompts, const loaded_model& model,
                                           std::size_t max_response_tokens);

/// Trains the role "policy" of a model on examples as the section "sft" says, with checkpoints, metrics and progress,
/// and saves it to the context's output folder. Shared by `coho sft` and by pre-training.
void train_supervised(loaded_model& model, std::vector<supervised_example> examples, const config& options,
                      stage_context& context);

/// `coho sft`: supervised fine-tuning on instruction records.
///
/// Keys: model.path, model.adapter (to go on from), sft.data, sft.limit, sft.max_response_tokens, sft.templates and
/// sft.max_prompt_tokens (sft_prompts.hpp), sft.{learning_rate, schedule, schedule_steps, warmup_steps, batch_size, micro_batch_tokens, epochs, gradient_norm_clip, save_every, keep}, adapter.*,
/// prompt.*.
void run_sft(const config& options, stage_context& context);
subcommand make_sft_command();

}  // namespace coho::trainer
