#pragma once

#include <cstddef>
#include <cstdint>

#include <coho/rollout/minibatch.hpp>

#include "config/config.hpp"
#include "config/read_options.hpp"
#include "optimization/adamw.hpp"
#include "run/stage_context.hpp"
#include "settings/optimizer_settings.hpp"

namespace coho::trainer {

/// A run over fixed data: the options of the library's trainer, and its surroundings.
template <class Options>
struct fit_settings {
  Options training{};
  adamw_options optimizer{};
  double warmup_steps = 0;           ///< below 1: a fraction of the run
  std::uint64_t schedule_steps = 0;  ///< 0: the schedule ends with the run
  std::uint64_t save_every = 0;
  std::size_t keep = 1;

  /// Optimizer steps of the whole run over that many examples.
  std::uint64_t steps_over(std::size_t examples) const {
    return training.epochs * ((examples + training.batch_size - 1) / training.batch_size);
  }
  /// The trainer's options of such a run: the schedule knows its steps.
  Options options_over(std::size_t examples) const {
    Options out = training;
    say_early_floor(out.learning_rate, schedule_steps, steps_over(examples));
    set_schedule_length(out.learning_rate, warmup_steps, schedule_steps > 0 ? schedule_steps : steps_over(examples));
    return out;
  }
};

struct fit_defaults {
  std::size_t batch_size = 32;
  double learning_rate = 1e-4;
  double warmup_steps = 0;
  batch_limits micro_batch{};
};
inline constexpr fit_defaults sft_defaults{.micro_batch = {.tokens = 16384}};
inline constexpr fit_defaults reward_defaults{
    .batch_size = 64, .learning_rate = 3e-5, .warmup_steps = 0.03, .micro_batch = {.sequences = 64}};
inline constexpr fit_defaults pretraining_defaults{
    .batch_size = 64, .learning_rate = 5e-5, .warmup_steps = 0.01, .micro_batch = {.sequences = 64}};

/// A trainer's options plus these.
template <class Options>
Options with_defaults(const fit_defaults& defaults) {
  Options out;
  out.learning_rate.peak = defaults.learning_rate;
  out.learning_rate.kind = schedule_kind::cosine;
  out.batch_size = defaults.batch_size;
  out.micro_batch = defaults.micro_batch;
  return out;
}

/// The contents of every such section: the options that the trainer describes, with the groups `learning_rate` and
/// `optimizer`, and save_every and keep. The number of examples need not be known yet. Throws config_error,
/// option_error.
///
///     const auto fit = read_fit<supervised_options>(options.section("sft"), context);
///     supervised_trainer trainer{policy, optimizer, fit.options_over(examples.size())};
template <class Options>
fit_settings<Options> read_fit(const config& section, const stage_context& context, const fit_defaults& defaults = {}) {
  fit_settings<Options> out{.training = with_defaults<Options>(defaults)};
  Options& training = out.training;
  read_options(section, training, {"seed", "learning_rate"});
  training.seed = context.seed;
  // One step per epoch, the shortest run: options that do not fit the schedule are rejected here.
  training.learning_rate =
      read_learning_rate(section, defaults.learning_rate, training.epochs, "cosine", defaults.warmup_steps);
  out.warmup_steps = section.get<double>("learning_rate.warmup_steps", defaults.warmup_steps);
  out.schedule_steps = section.get<std::uint64_t>("learning_rate.total_steps", 0);
  out.optimizer = read_adamw(section);
  out.save_every = section.get<std::uint64_t>("save_every", 0);
  out.keep = section.get<std::size_t>("keep", 1);
  return out;
}

}  // namespace coho::trainer
