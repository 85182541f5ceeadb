#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "plan/machine_rates.hpp"
#include "run/stage_context.hpp"
#include "settings/model_settings.hpp"

namespace coho::trainer {

/// The section `plan`.
struct plan_options {
  double bandwidth = 0, flops = 0;
  std::size_t ranks = 1;

  static void describe(auto&& visit, auto&... o) {
    visit(otherwise("measured", {"bandwidth", "memory bandwidth of the machine to plan for; give flops too",
                                 allowed::above(0).or_zero(), "GB/s"}),
          o.bandwidth...);
    visit(otherwise("measured", {"flops", "operations per second of that machine; give bandwidth too",
                                 allowed::above(0).or_zero(), "TFLOP/s"}),
          o.flops...);
    visit(
        otherwise("the number of processes", {"ranks", "number of devices that split a step", allowed::in(1, 65'536)}),
        o.ranks...);
  }
};

/// What a plan is made for: the base, the adapters that are trained or loaded, and the machine.
struct plan_settings {
  model_settings model{};
  adapter_settings adapter{};  ///< of roles that do not start from a folder
  std::string device = "cpu";
  std::size_t threads = 1;
  std::optional<machine_rates> rates{};  ///< of a machine that is not this one
  std::size_t ranks = 1;                 ///< processes, one device each, that share a step
  std::size_t shards = 1;                ///< that a step is cut into
};
/// The sections `model` and `adapter`, `plan.bandwidth` in GB/s and `plan.flops` in TFLOP/s (both or neither), and
/// `plan.ranks`. Throws config_error, option_error.
plan_settings read_plan_settings(const config& options, const stage_context& context);
/// The same for a stage that has read the section `model` already.
plan_settings read_plan_settings(const config& options, const stage_context& context, model_settings model);
/// The same with the shards of a step, of a stage that several processes may run and that has called `join_ranks`.
plan_settings read_parallel_plan(const config& options, const stage_context& context);

}  // namespace coho::trainer
