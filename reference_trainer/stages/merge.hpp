#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// Adds an adapter to its base's weights and writes the sum as a checkpoint of its own, unpacked: section "model" with
/// `adapter`.
void run_merge(const config& options, stage_context& context);
subcommand make_merge_command();

}  // namespace coho::trainer
