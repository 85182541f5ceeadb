#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho aggregate`: judge scores into preferences under sets of principles, some of them negated (SALMON §3.2 and App.
/// D).
///
/// Two passes over the judgements: statistics of each principle, then records. Keys: aggregate.judgements,
/// aggregate.principles, aggregate.wordings (more files of the same principles, other words: each record takes each
/// principle from one of them), aggregate.preset ("paper", "salmon_code") and any option of it on top,
/// aggregate.never_drawn (principles that are judged and not drawn; "salmon_code" leaves out Overall Helpful, Natural
/// and Fluent, and Multilingual), aggregate.banned_phrases ("salmon_code" bans "As an AI language model" with
/// probability 0.5, and turns a label so decided with 0.25). Beside the records, <name>.summary.json counts what became
/// of every draw.
void run_aggregate(const config& options, stage_context& context);
subcommand make_aggregate_command();

}  // namespace coho::trainer
