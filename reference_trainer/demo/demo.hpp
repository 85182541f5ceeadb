#pragma once

#include "commands/application.hpp"
#include "commands/subcommand.hpp"

namespace coho::trainer {

/// `coho demo`: all of SALMON in the toy world, through the stages that real runs use, with a table, report.html and
/// summary.json at the end. Fails when a threshold of demo/thresholds.json is missed, naming it.
subcommand make_demo_command();

/// `coho demo-base`: trains the base model that the demo starts from.
subcommand make_demo_base_command();

}  // namespace coho::trainer
