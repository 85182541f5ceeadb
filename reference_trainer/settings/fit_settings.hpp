#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "config/config.hpp"
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
};

/// What every such section says of a run over so many examples: batch_size, epochs, gradient_norm_clip, save_every,
/// keep, and the keys of `read_learning_rate` and `read_adamw`. A stage adds what its trainer has beside that. Throws
/// config_error, option_error.
///
///     auto fit = read_fit<supervised_options>(options.section("sft"), context, examples.size());
template <class Options>
fit_settings<Options> read_fit(const config& section, const stage_context& context, std::size_t examples,
                               const fit_defaults& defaults = {}) {
  fit_settings<Options> out;
  Options& training = out.training;
  training.batch_size = section.get<std::size_t>("batch_size", defaults.batch_size);
  section.check(training.batch_size > 0, "batch_size", "at least 1");
  training.epochs = section.get<std::uint64_t>("epochs", 1);
  section.check(training.epochs > 0, "epochs", "at least 1");
  training.gradient_norm_clip = section.get<double>("gradient_norm_clip", 1.0);
  section.check(std::isfinite(training.gradient_norm_clip) && training.gradient_norm_clip >= 0, "gradient_norm_clip",
                "finite and at least 0");
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
