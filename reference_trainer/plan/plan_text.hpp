#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include <coho/train/options/ppo_options.hpp>

#include "config/config.hpp"
#include "generation/engine.hpp"
#include "optimization/moment_type.hpp"
#include "plan/machine_rates.hpp"
#include "roles/reward_role.hpp"
#include "run/stage_context.hpp"
#include "settings/model_settings.hpp"

namespace coho::trainer {

/// The section `plan`.
struct plan_options {
  double bandwidth = 0, flops = 0;
  std::size_t ranks = 1;

  static void describe(auto&& visit, auto&... o) {
    visit(otherwise("measured", {"bandwidth", "of the memory of the machine to plan for; with flops",
                                 allowed::above(0).or_zero(), "GB/s"}),
          o.bandwidth...);
    visit(otherwise("measured", {"flops", "of that machine; with bandwidth", allowed::above(0).or_zero(), "TFLOP/s"}),
          o.flops...);
    visit(otherwise("the number of processes", {"ranks", "devices that split a step", allowed::at_least(1)}),
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
  std::size_t shards = 1;                ///< that a step is divided into
};
/// The sections `model` and `adapter`, `plan.bandwidth` in GB/s and `plan.flops` in TFLOP/s (both or neither), and
/// `plan.ranks`. Throws config_error, option_error.
plan_settings read_plan(const config& options, const stage_context& context);
/// The same with `distributed.shards`, for a stage that several processes may run.
plan_settings read_parallel_plan(const config& options, const stage_context& context);

/// What a plan reads of a PPO run.
struct ppo_plan {
  std::filesystem::path policy{}, reward_model{};  ///< empty: the base; no reward model
  const ppo_options& options;
  std::size_t rollouts = 576;
  std::size_t prompt_tokens = 0;  ///< at most; 0: no limit
  moment_type moments = moment_type::float32;
  engine_options engine{};
  reward_role_options reward_limits{};
  bool evaluates = false;
};

/// What a plan reads of the training of a reward model.
struct reward_plan {
  std::filesystem::path from{};  ///< empty: the base
  std::size_t batch_size = 64, micro_batch_pairs = 64;
  moment_type moments = moment_type::float32;
  reward_role_options limits{};
};

/// What a plan reads of supervised fine-tuning.
struct sft_plan {
  std::filesystem::path adapter{};  ///< to continue from; empty: the base
  std::size_t batch_size = 32, micro_batch_tokens = 16384;
  std::size_t prompt_tokens = 0, response_tokens = 0;  ///< at most; 0: no limit
  moment_type moments = moment_type::float32;
};

/// A stage that only generates.
struct generation_plan {
  std::filesystem::path adapter{};  ///< of the policy; empty: the base
  std::size_t batch = 64;           ///< prompts handed to the engine at a time
  std::size_t responses = 1;        ///< of a prompt
  std::size_t query_tokens = 0;     ///< of a prompt after the prefix, at most; 0: no limit
  std::size_t prefix_tokens = 0;    ///< common to all prompts, computed once
  std::size_t max_new_tokens = 256;
  engine_options engine{};
};

/// What `--dry-run` prints for a stage after its config: tensors by group, peak memory per device by phase, and a
/// prediction of time from the bandwidth and FLOP rate that the device is measured to have. The function returned opens
/// config.json and measures, and opens no weights. For a stage that only generates: the time that a thousand prompts
/// take.
///
///     plan_text(read_plan(options, context), sft_plan{.batch_size = 32})();
std::function<std::string()> plan_text(const plan_settings& settings, const ppo_plan& stage);
std::function<std::string()> plan_text(const plan_settings& settings, const reward_plan& stage);
std::function<std::string()> plan_text(const plan_settings& settings, const sft_plan& stage);
std::function<std::string()> plan_text(const plan_settings& settings, const generation_plan& stage);

}  // namespace coho::trainer
