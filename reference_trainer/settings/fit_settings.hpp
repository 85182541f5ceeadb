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

/// A run over fixed data: the options of the library's trainer, and what is around it.
template <class Options>
struct fit_settings {
  Options training{};
  adamw_options optimizer{};
  std::uint64_t steps = 0;  ///< of the whole run
  std::uint64_t save_every = 0;
  std::size_t keep = 1;
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

/// A trainer's options with them.
template <class Options>
Options with_defaults(const fit_defaults& defaults) {
  Options out;
  out.learning_rate.peak = defaults.learning_rate;
  out.learning_rate.kind = schedule_kind::cosine;
  out.batch_size = defaults.batch_size;
  out.micro_batch = defaults.micro_batch;
  return out;
}

/// What every such section says of a run over so many examples: what the trainer's options describe, the groups
/// `learning_rate` and `optimizer`, save_every and keep. Throws config_error, option_error.
///
///     auto fit = read_fit<supervised_options>(options.section("sft"), context, examples.size());
template <class Options>
fit_settings<Options> read_fit(const config& section, const stage_context& context, std::size_t examples,
                               const fit_defaults& defaults = {}) {
  fit_settings<Options> out{.training = with_defaults<Options>(defaults)};
  Options& training = out.training;
  read_options(section, training, {"seed", "learning_rate"});
  training.seed = context.seed;
  out.steps = training.epochs * ((examples + training.batch_size - 1) / training.batch_size);
  training.learning_rate =
      read_learning_rate(section, defaults.learning_rate, out.steps, "cosine", defaults.warmup_steps);
  out.optimizer = read_adamw(section);
  out.save_every = section.get<std::uint64_t>("save_every", 0);
  out.keep = section.get<std::size_t>("keep", 1);
  return out;
}

}  // namespace coho::trainer
