#pragma once

#include <string>

#include <coho/train/steps/ppo_statistics.hpp>

#include "distributed/process_group.hpp"
#include "observe/metrics_log.hpp"
#include "observe/progress.hpp"
#include "rollouts/reward_parts.hpp"

namespace coho::trainer {

/// Logs a PPO step's statistics and counts its tokens, over all ranks, which call together. Returns the text of the
/// progress line.
std::string log_ppo_step(const ppo_statistics& statistics, const reward_parts& parts, metrics_log& log, progress& bar,
                         process_group& ranks);

}  // namespace coho::trainer
