#pragma once

#include "program/application.hpp"
#include "program/subcommand.hpp"

namespace coho::trainer {

/// `coho demo`: the whole of SALMON in the toy world, using the stages of real runs, with a table, report.html and
/// summary.json at the end. Fails, naming the threshold, if a threshold of demo/thresholds.json is missed.
subcommand make_demo_command();

/// `coho demo-base`: trains the base model that the demo starts from.
subcommand make_demo_base_command();

}  // namespace coho::trainer
