#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// A flag of one subcommand: a shorter way to set a config key.
struct stage_flag {
  std::string name;  ///< "--model", "-m,--model", or "file" for a positional argument
  std::string key;   ///< "model.path"
  std::string help;
  /// Not empty: the flag takes no value and sets the key to this one ("--greedy" sets generation.temperature to 0).
  std::string fixed_value{};
  bool repeatable = false;  ///< several values make a list
};

/// `--random-weights`, for every stage that loads a model.
inline stage_flag random_weights_flag() {
  return {.name = "--random-weights",
          .key = "model.random_weights",
          .help = "random weights of the model's shape, to measure with",
          .fixed_value = "true"};
}

/// A section of a recipe that stands for a subcommand with one of its flags: [preference_pretraining] for
/// `reward --pretrain`.
struct stage_variant {
  std::string section;  ///< "preference_pretraining"
  std::string flag;     ///< "--pretrain"
  std::string key;      ///< what the flag sets to true: "pretrain"
};

/// A subcommand.
struct subcommand {
  std::string name;  ///< "ppo"
  std::string help;  ///< one line
  std::function<void(const config&, stage_context&)> run;
  std::vector<stage_flag> flags{};
  /// Top-level sections of a recipe that it reads; other stages then do not report them as unknown keys.
  std::vector<std::string> sections{};
  std::string group = "Stages";
  std::string recipe{};   ///< the built-in recipe used without --config
  bool parallel = false;  ///< mpirun may start it as several processes
  std::vector<stage_variant> variants{};
};

}  // namespace coho::trainer
