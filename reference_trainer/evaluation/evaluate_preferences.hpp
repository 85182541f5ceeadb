#pragma once

#include "config/option_list.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// `coho eval preferences`: a reward model's agreement with preference files of any form that records.hpp names, one
/// row per file and, for several, one for all; files are read once, a batch at a time.
///
/// Tables go to stdout; `--out` is a JSON file: {kind, reward_model, files: [{data, left_out, …}], overall: {…}} with
/// the figures of preference_measures.hpp.
void evaluate_preferences(const config& options, stage_context& context);
/// The keys of the section `eval` that it reads.
option_section preferences_section();

}  // namespace coho::trainer
