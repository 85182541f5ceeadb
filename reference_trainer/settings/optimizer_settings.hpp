#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <coho/optimization/learning_rate_schedule.hpp>

#include "config/config.hpp"
#include "optimization/adamw.hpp"
#include "optimization/moment_type.hpp"

namespace coho::trainer {

/// The group `learning_rate` of a section: the library's options, with warmup_steps below 1 for a fraction of all
/// steps, and total_steps 0 for `total_steps`, those of the whole run.
learning_rate_options read_learning_rate(const config& section, double default_peak, std::uint64_t total_steps,
                                         std::string_view default_schedule = "cosine", double default_warmup_steps = 0);
/// Sets what depends on the length of the run: the steps of warm-up, which may be given as a share of `total_steps`,
/// and the step at which the schedule ends.
void set_schedule_length(learning_rate_options& options, double warmup_steps, std::uint64_t total_steps);

/// A note where the schedule ends at `horizon`, given at `place`, before the run's last step; nothing for 0.
void note_early_floor(const std::string& place, std::uint64_t horizon, std::uint64_t total_steps);

/// The group `optimizer` of a section.
adamw_options read_adamw(const config& section);

/// `optimizer.moments` of a training section.
moment_type read_moments(const config& section);

}  // namespace coho::trainer
