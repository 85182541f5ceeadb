#include "evaluation/ppo_ending.hpp"

#include <string>

#include "distributed/process_group.hpp"
#include "observe/format.hpp"

namespace coho::trainer {

bool ppo_ending::after(std::uint64_t steps, double kl) {
  process_group& ranks = *context_.ranks;
  const bool away = ranks.agree_with_first(options_.stop_kl > 0 && kl > options_.stop_kl);
  const bool last = away || steps >= options_.steps;
  if (evaluation_ != nullptr && evaluation_->due(steps, last)) {
    evaluation_->run(steps, log_, ranks);
    safe_point_(steps);
  }
  const auto say = [&](const std::string& why) {
    context_.log("stopped after " + std::to_string(steps) + " steps: " + why);
  };
  if (away) say("a kl of " + format_number(kl, 2) + " is above ppo.stop_kl");
  const bool spent = ranks.agree_with_first(evaluation_ != nullptr && evaluation_->out_of_patience());
  if (spent && !last) say("ppo.evaluation.patience is exhausted");
  return last || spent;
}

}  // namespace coho::trainer
