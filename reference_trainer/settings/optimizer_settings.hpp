#pragma once

#include <cstdint>

#include <coho/optimization/learning_rate_schedule.hpp>

#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "optimization/adamw.hpp"

namespace coho::trainer {

/// The group `learning_rate` of a section: the library's options in a form that does not need the length of the run.
struct recipe_learning_rate {
  double peak = 1e-4;
  schedule_kind kind = schedule_kind::cosine;
  double warmup_steps = 0;
  std::uint64_t total_steps = 0;
  double floor_fraction = 0;

  /// The same schedule as a recipe would give it; total_steps, which the run knows, is left at 0.
  static recipe_learning_rate from_options(const learning_rate_options& options);

  static void describe(auto&& visit, auto&... o) {
    visit({"peak", "learning rate after the warm-up", allowed::at_least(0)}, o.peak...);
    visit({"kind", "form of the decay after the warm-up"}, o.kind...);
    visit({"warmup_steps", "length of the linear warm-up; below 1: a fraction of the run's steps",
           allowed::in(0, 1'000'000'000), "steps"},
          o.warmup_steps...);
    visit({"total_steps",
           "step at which a decaying rate reaches its floor, and stays; 0: the last step of the run",
           {},
           "steps"},
          o.total_steps...);
    visit({"floor_fraction", "rate after the decay, as a fraction of peak", allowed::in(0, 1)}, o.floor_fraction...);
  }
  /// Throws config_error for a decay that is given without one, and for a warm-up that is neither a fraction nor a
  /// whole number of steps.
  void check_constraints(const config& section) const;

  /// The schedule of a run of so many steps; a note says where the decay ends before the run. Throws option_error.
  learning_rate_options for_steps(std::uint64_t steps) const;
};

}  // namespace coho::trainer
