#include "settings/optimizer_settings.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace coho::trainer {

learning_rate_options read_learning_rate(const config& section, double default_peak, std::uint64_t total_steps,
                                         std::string_view default_schedule, double default_warmup_steps) {
  learning_rate_options out;
  out.peak = section.get<double>("learning_rate", default_peak);
  const std::string kind = section.choice("schedule", default_schedule, {"constant", "linear", "cosine"});
  out.kind = kind == "constant" ? schedule_kind::constant
             : kind == "linear" ? schedule_kind::linear
                                : schedule_kind::cosine;
  const double warmup = section.get<double>("warmup_steps", default_warmup_steps);
  section.check(warmup >= 0, "warmup_steps", "at least 0");
  if (const auto horizon = section.get<std::uint64_t>("schedule_steps", 0); horizon > 0) total_steps = horizon;
  out.warmup_steps =
      static_cast<std::uint64_t>(warmup < 1 ? std::floor(warmup * static_cast<double>(total_steps)) : warmup);
  out.floor_fraction = section.get<double>("floor_fraction", 0.0);
  out.total_steps = std::max<std::uint64_t>(total_steps, out.warmup_steps + 1);
  static_cast<void>(learning_rate_schedule(out));
  return out;
}

adamw_options read_adamw(const config& section) {
  adamw_options out;
  out.beta1 = section.get<double>("beta1", out.beta1);
  out.beta2 = section.get<double>("beta2", out.beta2);
  out.epsilon = section.get<double>("epsilon", out.epsilon);
  out.weight_decay = section.get<double>("weight_decay", out.weight_decay);
  out.moments = read_moments(section);
  out.validate();
  return out;
}

moment_type read_moments(const config& section) {
  return moment_type_named(section.choice("moments", "float32", {"float32", "bfloat16", "8bit"}));
}

}  // namespace coho::trainer
