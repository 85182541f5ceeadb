#pragma once

#include <cstddef>
#include <cstdint>

#include <coho/rollout/micro_batch.hpp>

#include "config/config.hpp"
#include "config/read_options.hpp"
#include "optimization/adamw.hpp"
#include "settings/checkpoint_settings.hpp"
#include "settings/optimizer_settings.hpp"

namespace coho::trainer {

/// The defaults in which the stages that train on fixed data differ.
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
inline constexpr fit_defaults dpo_defaults{
    .batch_size = 64, .learning_rate = 5e-6, .warmup_steps = 0.1, .micro_batch = {.tokens = 16384}};

/// A run over fixed data: the options of the library's trainer, and its surroundings. The number of examples need not
/// be known when they are read.
///
///     sft_options read{.fit = fit_settings<supervised_options>::of(sft_defaults)};
///     read_options(options.section("sft"), read);
///     supervised_trainer trainer{policy, optimizer, read.fit.training_options(examples.size(), context.seed)};
template <class Options>
struct fit_settings {
  Options training{};
  recipe_learning_rate learning_rate{};
  adamw_options optimizer{};
  checkpoint_options checkpoints{};

  /// The settings with the defaults of one stage.
  static fit_settings of(const fit_defaults& defaults) {
    fit_settings out;
    out.training.batch_size = defaults.batch_size;
    out.training.micro_batch = defaults.micro_batch;
    out.learning_rate.peak = defaults.learning_rate;
    out.learning_rate.warmup_steps = defaults.warmup_steps;
    return out;
  }
  static void describe(auto&& visit, auto&... o) {
    visit({"learning_rate", "learning rate of the optimizer"}, o.learning_rate...);
    Options::describe(without({"seed", "learning_rate"}, visit), o.training...);
    visit({"optimizer", "AdamW"}, o.optimizer...);
    checkpoint_options::describe(visit, o.checkpoints...);
  }
  /// Throws config_error where an option has no effect.
  void check_constraints(const config& section) const { checkpoints.check_constraints(section); }

  /// Optimizer steps of the whole run over that many examples; the last batch of an epoch may be smaller.
  std::uint64_t step_count(std::size_t examples) const {
    return training.epochs * ((examples + training.batch_size - 1) / training.batch_size);
  }
  /// The trainer's options of such a run: the schedule knows its steps. Throws option_error.
  Options training_options(std::size_t examples, std::uint64_t seed) const {
    Options out = training;
    out.seed = seed;
    out.learning_rate = learning_rate.for_steps(step_count(examples));
    return out;
  }
};

}  // namespace coho::trainer
