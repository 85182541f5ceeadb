#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho eval preferences` (formerly, and still, `pairs`) and `coho eval hhh` (key `eval.kind`): see
/// evaluate_preferences.hpp and evaluate_hhh.hpp. A table goes
/// to stdout, the numbers as JSON to `--out` where it is given.
subcommand make_eval_command();

}  // namespace coho::trainer
