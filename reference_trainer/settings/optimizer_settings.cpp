#include "settings/optimizer_settings.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "config/read_options.hpp"
#include "files/notices.hpp"

namespace coho::trainer {

learning_rate_options read_learning_rate(const config& section, double default_peak, std::uint64_t total_steps,
                                         std::string_view default_schedule, double default_warmup_steps) {
  const config rate = section.section("learning_rate");
  learning_rate_options out;
  out.peak = default_peak;
  for (std::size_t i = 0; i < option_names(out.kind).size(); ++i)
    if (option_names(out.kind)[i] == default_schedule) out.kind = static_cast<schedule_kind>(i);
  read_options(rate, out, {"warmup_steps", "total_steps"});
  const double warmup = rate.get<double>("warmup_steps", default_warmup_steps);
  rate.check(warmup >= 0, "warmup_steps", "at least 0");
  const auto horizon = rate.get<std::uint64_t>("total_steps", 0);
  const bool decays = out.kind != schedule_kind::constant;
  rate.check(decays || horizon == 0, "total_steps", "unset where kind is constant: there is no decay");
  rate.check(decays || out.floor_fraction == 0, "floor_fraction", "unset where kind is constant: there is no decay");
  say_early_floor(out, horizon, total_steps);
  if (horizon > 0) total_steps = horizon;
  set_schedule_length(out, warmup, total_steps);
  static_cast<void>(learning_rate_schedule(out));
  return out;
}

void set_schedule_length(learning_rate_options& options, double warmup_steps, std::uint64_t total_steps) {
  options.warmup_steps = static_cast<std::uint64_t>(
      warmup_steps < 1 ? std::floor(warmup_steps * static_cast<double>(total_steps)) : warmup_steps);
  options.total_steps = std::max<std::uint64_t>(total_steps, options.warmup_steps + 1);
}

void say_early_floor(const learning_rate_options& options, std::uint64_t horizon, std::uint64_t steps) {
  if (options.kind == schedule_kind::constant || horizon == 0 || horizon >= steps) return;
  notices::setting().say("note: learning_rate.total_steps: the rate reaches its floor at step " +
                         std::to_string(horizon) + " of " + std::to_string(steps) + " and stays there");
}

adamw_options read_adamw(const config& section) {
  adamw_options out;
  read_options(section.section("optimizer"), out);
  out.validate();
  return out;
}

}  // namespace coho::trainer
