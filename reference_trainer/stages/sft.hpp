#pragma once

#include <cstdint>
#include <vector>

#include <coho/train/supervised.hpp>

#include "cli/application.hpp"
#include "data/records.hpp"
#include "stages/model_files.hpp"
#include "stages/prompting.hpp"

namespace coho::trainer {

/// Which replies of a conversation are trained on, those of weight 0 aside: `sft.replies`.
enum class trained_replies : std::uint8_t { all, last, first };

/// A record as it is trained on: a conversation in the prompter's form, of which the replies count in the loss, by
/// their weights, and the end token of each that is finished. Of a reply of `max_response_tokens` or more the first so
/// many count, without an end token (0: no limit). What comes before the first such token is the example's prompt, what
/// comes behind the last one is left out. An example without a response: no reply is trained on.
supervised_example make_supervised_example(const sft_record& record, const prompter& prompts,
                                           std::size_t max_response_tokens,
                                           trained_replies replies = trained_replies::all);

/// Trains the role "policy" of a model on examples as the section "sft" says, with checkpoints, metrics and progress,
/// and saves it to the context's output folder. Shared by `coho sft` and by pre-training.
void train_supervised(loaded_model& model, std::vector<supervised_example> examples, const config& options,
                      stage_context& context);

/// `coho sft`: supervised fine-tuning on instruction records.
///
/// Keys: model.path, model.adapter (to go on from), those of read_sft_data, sft.replies, sft.max_response_tokens,
/// sft.templates and sft.max_prompt_tokens (sft_prompts.hpp), sft.{learning_rate, schedule, schedule_steps,
/// warmup_steps, batch_size, micro_batch_tokens, epochs, gradient_norm_clip, save_every, keep}, adapter.*, prompt.*.
void run_sft(const config& options, stage_context& context);
subcommand make_sft_command();

}  // namespace coho::trainer
