#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho self-align`: answers of a base model under written rules, filtered, as pairs for `coho sft` (stage 0; SALMON
/// §4.1.1 and App. G).
///
/// Each prompt stands behind the same rules and exemplars, whose keys and values are computed once. The model writes
/// thoughts and an answer; self_align_filter says which are kept. Writes {"instruction", "input", "output",
/// "thoughts"}, one per line, to --out, with "finished": false where the answer does not end by itself, and next to it
/// a JSON file of what each filter removed, for which prompts = kept + removed holds. self_align.rejected names a file
/// for the others, with the reason.
///
/// Keys: model.*, self_align.{prompts, rules, exemplars, template, stop, max_new_tokens, max_question_tokens, top_p,
/// slots, batch, limit, rejected}, those of read_self_align_filters, generation.*. Random streams are keyed by the
/// prompt's number. A resumed run ends with the same files.
void run_self_align(const config& options, stage_context& context);
subcommand make_self_align_command();

}  // namespace coho::trainer
