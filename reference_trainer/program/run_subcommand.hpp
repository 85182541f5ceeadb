#pragma once

#include "config/config.hpp"
#include "program/subcommand.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// Runs a subcommand, and gives its errors their places in the recipe: an `option_error` of the library becomes a
/// `config_error` with file, line and key where one of the keys read sets that option; before any `config_error`
/// unknown keys are reported, as a misspelt key looks like one that is not given.
void run_subcommand(const subcommand& command, const config& options, stage_context& context);

}  // namespace coho::trainer
