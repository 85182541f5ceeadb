#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho sample`: n responses to each prompt from a policy (stage 1a of SALMON), JSON Lines of sample_record.
///
/// Keys: model.path, model.adapter, sample.prompts, sample.responses (2), sample.batch (prompts at a time),
/// sample.max_new_tokens and sample.slots (those of generation), sample.max_prompt_tokens (0: prompts are asked whole),
/// generation.*, prompt.*;
/// --out is the file. Each record's random streams are keyed by its number, so that a resumed file equals an
/// uninterrupted one. The file of prompts is read twice, to count and check them and to answer them, and never held;
/// tokens that all prompts begin with are computed once.
void run_sample(const config& options, stage_context& context);
subcommand make_sample_command();

}  // namespace coho::trainer
