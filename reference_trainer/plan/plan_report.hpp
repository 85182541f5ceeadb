#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/memory_plan.hpp"
#include "plan/time_plan.hpp"

namespace coho::trainer {

/// A plan for people: the shape, the resident tensors by group, the peak of each phase, and, when given, the seconds of
/// each phase of a step. `notes` come last, one per line.
std::string plan_report(const llama_config& model, const memory_plan& memory, const std::optional<time_plan>& time,
                        const std::vector<std::string>& notes = {});

}  // namespace coho::trainer
