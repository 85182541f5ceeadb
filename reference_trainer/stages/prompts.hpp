#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho prompts`: a set of prompts out of other people's collections, JSON Lines of prompt_record.
///
/// Keys: prompts.tokenizer (a tokenizer.model or its folder; that of model.path by default), prompts.minimum_tokens
/// (2), prompts.maximum_tokens (256), prompts.languages (all), prompts.require_counts, prompts.reasoning_length_bonus,
/// and a list of sources,
/// `[[prompts.source]]`: name, path (a file, or a folder of them), count (all), question_type, length_bonus, languages.
/// With `rl` (--rl) the section rl_prompts is read in place of prompts. --out is the file; beside it goes
/// NAME.counts.json, which says for each source what was kept and what was removed, and why.
///
/// Of each record the first query of a user is taken and cleaned; of equal texts the first is kept, over all sources;
/// `count` prompts are drawn of each source, and all are shuffled. The result depends on the seed and on what the
/// sources hold. Memory grows by a hash a prompt read, and by 40 bytes a prompt drawn.
void run_prompts(const config& options, stage_context& context);
subcommand make_prompts_command();

}  // namespace coho::trainer
