#include "settings/optimizer_settings.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "files/notices.hpp"

namespace coho::trainer {

recipe_learning_rate recipe_learning_rate::from_options(const learning_rate_options& options) {
  return {.peak = options.peak,
          .kind = options.kind,
          .warmup_steps = static_cast<double>(options.warmup_steps),
          .floor_fraction = options.floor_fraction};
}

void recipe_learning_rate::check_constraints(const config& section) const {
  section.check(warmup_steps < 1 || warmup_steps == std::floor(warmup_steps), "warmup_steps",
                "a whole number of steps, or below 1: a fraction of the run's steps");
  const bool decays = kind != schedule_kind::constant;
  section.check(decays || total_steps == 0, "total_steps", "unset where kind is constant: there is no decay");
  section.check(decays || floor_fraction == 0, "floor_fraction", "unset where kind is constant: there is no decay");
}

learning_rate_options recipe_learning_rate::for_steps(std::uint64_t steps) const {
  if (kind != schedule_kind::constant && total_steps > 0 && total_steps < steps)
    notices::setting().say("note: learning_rate.total_steps: the rate reaches its floor at step " +
                           std::to_string(total_steps) + " of " + std::to_string(steps) + " and stays there");
  const std::uint64_t length = total_steps > 0 ? total_steps : steps;
  learning_rate_options out{.peak = peak, .kind = kind, .floor_fraction = floor_fraction};
  out.warmup_steps = static_cast<std::uint64_t>(
      warmup_steps < 1 ? std::floor(warmup_steps * static_cast<double>(length)) : warmup_steps);
  out.total_steps = std::max<std::uint64_t>(length, out.warmup_steps + 1);
  static_cast<void>(learning_rate_schedule(out));
  return out;
}

}  // namespace coho::trainer
