#include "evaluation/held_out_evaluation.hpp"

#include <utility>

#include <nlohmann/json.hpp>

#include "observe/summary.hpp"

namespace coho::trainer {

held_out_evaluation::held_out_evaluation(reward_role& reward, preference_set pairs, schedule when)
    : reward_(reward), pairs_(std::move(pairs)), schedule_(when) {}

bool held_out_evaluation::is_due(std::uint64_t done) const {
  return done == schedule_.steps || (schedule_.every > 0 && done % schedule_.every == 0);
}

const preference_measures& held_out_evaluation::evaluate(std::uint64_t done, const std::filesystem::path& out) {
  if (last_ && done == done_) return *last_;
  last_ = measure_pairs(reward_, pairs_);
  done_ = done;
  if (out.empty()) return *last_;
  nlohmann::ordered_json report{{"step", done}};
  report.update(last_->to_json());
  summary(report).write(out / "evaluation.json");
  return *last_;
}

void log_evaluation(metrics_log& log, std::int64_t step, const preference_measures& measured) {
  log.add_scalars(step, {{"evaluation_accuracy", measured.overall().accuracy()},
                         {"evaluation_loss", measured.overall().loss()},
                         {"evaluation_margin", measured.overall().score_difference()},
                         {"evaluation_brier_score", measured.overall().brier_score()},
                         {"evaluation_calibration_error", measured.confidence().expected_error()},
                         {"evaluation_score", measured.scores().mean},
                         {"evaluation_score_deviation", measured.scores().deviation}});
}

}  // namespace coho::trainer
