#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho eval preferences` (formerly, and still, `pairs`), `coho eval hhh` and `coho eval truthfulqa` (key `eval.kind`): see
/// evaluate_preferences.hpp, evaluate_hhh.hpp and evaluate_truthfulqa.hpp. A table goes to stdout, the numbers as JSON to
/// `--out` where it is given.
subcommand make_eval_command();

}  // namespace coho::trainer
