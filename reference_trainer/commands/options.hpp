#pragma once

#include <vector>

#include "program/subcommand.hpp"

namespace coho::trainer {

/// `coho options [NAME…]`: the options of stages, or of sections of recipes, with defaults, allowed values and
/// meanings: those of the given subcommands.
subcommand make_options_command(std::vector<subcommand> stages);

}  // namespace coho::trainer
