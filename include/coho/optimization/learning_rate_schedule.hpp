#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>

#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/options.hpp>

namespace coho::inline v0_1 {

/// The decay after the warm-up.
enum class schedule_kind { constant, linear, cosine };
constexpr auto option_names(schedule_kind) { return std::array{"constant", "linear", "cosine"}; }

struct learning_rate_options {
  double peak = 1e-3;
  schedule_kind kind = schedule_kind::constant;
  std::uint64_t warmup_steps = 0;
  std::uint64_t total_steps = 0;  ///< required by linear and cosine; later steps stay at the floor
  double floor_fraction = 0;      ///< the rate at `total_steps` is `floor_fraction · peak`

  static void describe(auto&& visit, auto&... o) {
    visit({"peak", "learning rate after the warm-up", allowed::at_least(0)}, o.peak...);
    visit({"kind", "form of the decay after the warm-up"}, o.kind...);
    visit({"warmup_steps", "linear warm-up", {}, "steps"}, o.warmup_steps...);
    visit({"total_steps", "step at which a decaying schedule reaches its floor, and stays", {}, "steps"},
          o.total_steps...);
    visit({"floor_fraction", "the rate there, as a fraction of peak", allowed::in(0, 1)}, o.floor_fraction...);
  }
  void check_constraints(const std::string& prefix) const {
    require_option(kind == schedule_kind::constant || total_steps > warmup_steps, prefix + "total_steps", total_steps,
                   "greater than warmup_steps for a decaying schedule");
  }
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
  template <class = detail::if_called>
  explicit learning_rate_schedule(learning_rate_options options = {}) : options_(options) {
    validate(options, "learning_rate.");
  }

  /// η of a step, counted from 0.
  template <class = detail::if_called>
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

}  // namespace coho::inline v0_1
