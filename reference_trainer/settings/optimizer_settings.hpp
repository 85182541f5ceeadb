#pragma once

#include <cstdint>
#include <string_view>

#include <coho/optimization/learning_rate_schedule.hpp>

#include "config/config.hpp"
#include "optimization/adamw.hpp"

namespace coho::trainer {

/// The group `learning_rate` of a section: the library's options, with warmup_steps below 1 for a fraction of all
/// steps, and total_steps 0 for `total_steps`, those of the whole run.
learning_rate_options read_learning_rate(const config& section, double default_peak, std::uint64_t total_steps,
                                         std::string_view default_schedule = "cosine", double default_warmup_steps = 0);
/// Sets what depends on the length of the run: the steps of warm-up, which may be a fraction of `total_steps`,
/// and the step at which the schedule ends.
void set_schedule_length(learning_rate_options& options, double warmup_steps, std::uint64_t total_steps);

/// Warns of a decay that ends before the run does. `horizon`: 0 for that of the run.
void say_early_floor(const learning_rate_options& options, std::uint64_t horizon, std::uint64_t steps);

/// The group `optimizer` of a section.
adamw_options read_adamw(const config& section);

}  // namespace coho::trainer
