#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho judge`: scores each pair of responses under each principle, in both orders (SALMON §3.2), JSON Lines of
/// judgement_record.
///
/// Keys: model.path, model.adapter, judge.samples (a file, or several over the same prompts), judge.pairs and
/// judge.pairs_per_prompt (which of a prompt's responses are compared), judge.minimum_characters (0: shorter responses
/// are not compared), judge.principles, judge.template, judge.batch
/// (pairs at a time). The files are read twice, to count the pairs and to judge them, and never held.
void run_judge(const config& options, stage_context& context);
subcommand make_judge_command();

}  // namespace coho::trainer
