#include "evaluation/ppo_ending.hpp"

#include <string>

#include "distributed/process_group.hpp"
#include "observe/format.hpp"

namespace coho::trainer {

bool ppo_ending::evaluate_and_check_stop(std::uint64_t steps, double kl) {
  process_group& ranks = *context_.ranks;
  const bool above_kl = ranks.broadcast_from_first(options_.stop_kl > 0 && kl > options_.stop_kl);
  const bool last = above_kl || steps >= options_.steps;
  if (evaluation_ != nullptr && evaluation_->is_due(steps, last)) {
    evaluation_->run(steps, log_, ranks);
    safe_point_(steps);
  }
  const auto log_reason = [&](const std::string& why) {
    context_.log("stopped after " + std::to_string(steps) + " steps: " + why);
  };
  if (above_kl) log_reason("a kl of " + format_number(kl, 2) + " is above ppo.stop_kl");
  const bool exhausted = ranks.broadcast_from_first(evaluation_ != nullptr && evaluation_->is_out_of_patience());
  if (exhausted && !last) log_reason("ppo.evaluation.patience is exhausted");
  return last || exhausted;
}

}  // namespace coho::trainer
