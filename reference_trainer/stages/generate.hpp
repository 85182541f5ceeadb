#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho generate`: continues one prompt, every prompt of a file, or, with neither, the begin token alone.
///
/// Keys: model.*, generate.adapter, generate.prompt or generate.prompts, generate.ids, generate.batch, generation.*,
/// prompt.*, and for answers that others' judges read: generate.answers (the form: see answer_files.hpp),
/// generate.model_id (default: the name of the adapter's or the model's folder), generate.category_temperatures
/// (fastchat_temperature in place of generation.temperature), generate.timestamp. One prompt: its continuation goes to
/// stdout as it is sampled, or to `--out`. A file: one JSON record a prompt, to stdout or to `--out`, where an
/// interrupted run goes on with `--resume`. Record i draws from rng(seed).split(i), so that its text does not depend on
/// the batch, nor on where a run was interrupted.
subcommand make_generate_command();

}  // namespace coho::trainer
