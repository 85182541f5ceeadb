#include "rollouts/rollout_board.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <coho/eigen/as_array.hpp>

#include "observe/format.hpp"

namespace coho::trainer {
namespace {

// Texts are large: a few of them, in some steps.
constexpr std::int64_t steps_between_texts = 10;
constexpr std::size_t texts = 4;

// The text as a block of code, whose lines TensorBoard's markdown leaves unchanged.
std::string markdown_code_block(const std::string& text) {
  std::string out = "    ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "    ";
  }
  return out + "\n\n";
}

}  // namespace

void rollout_board::on_rollouts(const trajectory_batch& rollouts) {
  std::vector<double> lengths;
  for (std::size_t i = 0; i < rollouts.size(); ++i)
    lengths.push_back(static_cast<double>(rollouts.batch.responses.length(i)));
  log_->add_histogram("rollouts/score", step_, as_span(rollouts.model_scores));
  log_->add_histogram("rollouts/reward", step_, as_span(rollouts.sequence_rewards));
  log_->add_histogram("rollouts/advantage", step_, as_span(rollouts.advantages));
  log_->add_histogram("rollouts/length", step_, lengths);
  if (step_ % steps_between_texts != 0) return;
  for (std::size_t i = 0; i < std::min(texts, rollouts.size()); ++i) {
    log_->add_text("rollouts/" + std::to_string(i), step_,
                   "reward " + format_number(rollouts.sequence_rewards(static_cast<Eigen::Index>(i))) +
                       (rollouts.finished[i] != 0 ? "" : ", unfinished") + "\n\n" +
                       markdown_code_block(rollouts.prompt_texts[i]) + "response:\n\n" +
                       markdown_code_block(rollouts.response_texts[i]));
  }
}

}  // namespace coho::trainer
