#pragma once

#include <cstdint>
#include <string_view>

#include <coho/optimization/learning_rate_schedule.hpp>

#include "config/config.hpp"
#include "optimization/adamw.hpp"
#include "optimization/moment_type.hpp"

namespace coho::trainer {

/// What a config section says of the optimizer: learning_rate, schedule ("constant", "linear", "cosine"), warmup_steps
/// (a number of steps, or below 1 a share of all), floor_fraction, schedule_steps (the step at which the schedule
/// reaches its floor, where it stays; 0: `total_steps`, those of the whole run).
learning_rate_options read_learning_rate(const config& section, double default_peak, std::uint64_t total_steps,
                                         std::string_view default_schedule = "cosine", double default_warmup_steps = 0);
/// beta1, beta2, epsilon, weight_decay, moments ("float32", "bfloat16", "8bit").
adamw_options read_adamw(const config& section);

/// `moments` of a training section: "float32", "bfloat16" or "8bit".
moment_type read_moments(const config& section);

}  // namespace coho::trainer
