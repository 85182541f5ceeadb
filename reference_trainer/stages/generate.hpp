#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho generate`: continues one prompt, every prompt of a file, or, with neither, the begin token alone.
///
/// Keys: model.*, generate.adapter, generate.prompt or generate.prompts, generate.ids, generate.batch, generation.*,
/// prompt.*. One prompt: its continuation goes to stdout as it is sampled, or to `--out`. A file: one JSON record a
/// prompt, to stdout or to `--out`, where an interrupted run goes on with `--resume`. Record i draws from
/// rng(seed).split(i), so that its text does not depend on the batch, nor on where a run was interrupted.
subcommand make_generate_command();

}  // namespace coho::trainer
