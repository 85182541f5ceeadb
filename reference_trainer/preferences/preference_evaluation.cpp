#include "preferences/preference_evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "observe/summary.hpp"

namespace coho::trainer {

preference_evaluation::preference_evaluation(std::function<direct_preference_statistics()> measure, schedule when)
    : measure_(std::move(measure)), schedule_(when) {}

bool preference_evaluation::is_due(std::uint64_t done) const {
  return done == schedule_.steps || (schedule_.every > 0 && done % schedule_.every == 0);
}

const direct_preference_statistics& preference_evaluation::evaluate(std::uint64_t done,
                                                                    const std::filesystem::path& out) {
  if (last_ && done == done_) return *last_;
  last_ = measure_();
  done_ = done;
  if (out.empty()) return *last_;
  summary(nlohmann::ordered_json{{"step", done},
                                 {"pairs", static_cast<std::uint64_t>(last_->examples)},
                                 {"accuracy", last_->accuracy},
                                 {"standard_error", accuracy_standard_error(*last_)},
                                 {"margin", last_->reward_difference},
                                 {"loss", last_->loss},
                                 {"chosen_log_prob", last_->chosen_log_prob},
                                 {"rejected_log_prob", last_->rejected_log_prob}})
      .write(out / "evaluation.json");
  return *last_;
}

double accuracy_standard_error(const direct_preference_statistics& measured) {
  return std::sqrt(measured.accuracy * (1 - measured.accuracy) / std::max(measured.examples, 1.0));
}

void log_preference_evaluation(metrics_log& log, std::int64_t step, const direct_preference_statistics& measured) {
  log.add_scalars(step, {{"evaluation_accuracy", measured.accuracy},
                         {"evaluation_loss", measured.loss},
                         {"evaluation_margin", measured.reward_difference},
                         {"evaluation_chosen_log_prob", measured.chosen_log_prob},
                         {"evaluation_rejected_log_prob", measured.rejected_log_prob}});
}

}  // namespace coho::trainer
