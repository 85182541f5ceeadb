#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

#include <coho/error.hpp>

namespace coho {

enum class schedule_kind { constant, linear, cosine };

struct learning_rate_options {
  double peak = 1e-3;
  schedule_kind kind = schedule_kind::constant;
  std::uint64_t warmup_steps = 0;
  std::uint64_t total_steps = 0;  ///< needed by linear and cosine; later steps stay at the floor
  double floor_fraction = 0;      ///< the rate at `total_steps` is `floor_fraction · peak`
};

/// The learning rate of each optimizer step.
///
/// Warm-up over the first w steps, then a decay over the rest:
///
///     s < w            η_s = peak · (s + 1) / (w + 1)            (never 0, so that no step is wasted)
///     constant         η_s = peak
///     linear, cosine   η_s = peak · (f + (1 − f) · g(p)),  p = min(1, (s − w) / (total − w)),
///                      g(p) = 1 − p  or  (1 + cos πp) / 2
///
/// f is `floor_fraction`. Throws `option_error` on construction.
///
///     coho::learning_rate_schedule rate{{.peak = 2e-5, .kind = coho::schedule_kind::cosine, .total_steps = 200}};
///     rate(0);    // 2e-5
///     rate(100);  // 1e-5
class learning_rate_schedule {
 public:
  template <class = void>
  explicit learning_rate_schedule(learning_rate_options options = {}) : options_(options) {
    require_option(std::isfinite(options.peak) && options.peak >= 0, "learning_rate.peak", options.peak,
                   "finite and at least 0");
    require_option(options.floor_fraction >= 0 && options.floor_fraction <= 1, "learning_rate.floor_fraction",
                   options.floor_fraction, "in [0, 1]");
    require_option(options.kind == schedule_kind::constant || options.total_steps > options.warmup_steps,
                   "learning_rate.total_steps", options.total_steps,
                   "greater than warmup_steps for a decaying schedule");
  }

  template <class = void>
  double operator()(std::uint64_t step) const noexcept {
    const auto& o = options_;
    if (step < o.warmup_steps) {
      return o.peak * static_cast<double>(step + 1) / static_cast<double>(o.warmup_steps + 1);
    }
    if (o.kind == schedule_kind::constant) return o.peak;
    const double progress =
        std::min(1.0, static_cast<double>(step - o.warmup_steps) / static_cast<double>(o.total_steps - o.warmup_steps));
    const double left =
        o.kind == schedule_kind::linear ? 1 - progress : 0.5 * (1 + std::cos(std::numbers::pi * progress));
    return o.peak * (o.floor_fraction + (1 - o.floor_fraction) * left);
  }

  const learning_rate_options& options() const noexcept { return options_; }

 private:
  learning_rate_options options_;
};

}  // namespace coho
