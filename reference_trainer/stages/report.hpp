#pragma once

#include "cli/application.hpp"

namespace coho::trainer {

/// `coho report`: one HTML page about the training runs in some folders. Keys: report.runs, .names, .title, .smooth,
/// .samples; top-level: out.
void run_report(const config& options, stage_context& context);
subcommand make_report_command();

}  // namespace coho::trainer
