#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/option_list.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// A flag of one subcommand: a shorter way to set a config key.
struct stage_flag {
  std::string name;    ///< "--model", "-m,--model", or "file" for a positional argument
  std::string key;     ///< "model.path"
  std::string help{};  ///< empty: the meaning of the key
  /// Not empty: the flag takes no value and sets the key to this one ("--greedy" sets generation.temperature to 0).
  std::string fixed_value{};
  bool repeatable = false;  ///< several values make a list
};

/// `--random-weights`, for every stage that loads a model.
inline stage_flag random_weights_flag() {
  return {.name = "--random-weights", .key = "model.random_weights", .fixed_value = "true"};
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
  /// The sections of a recipe that it reads, with their options: other stages do not report these as unknown keys, and
  /// --help, `coho options` and the help of flags come from them.
  std::vector<option_section> options{};
  std::string group = "Stages";
  std::string recipe{};   ///< the built-in recipe used without --config
  bool parallel = false;  ///< mpirun may start it as several processes
  std::vector<stage_variant> variants{};
  bool shares_overrides = false;  ///< it hands --set on to other stages: any section may be named

  /// The names of the sections that it reads, in the order of `options`; "" for the top of a recipe.
  std::vector<std::string> sections() const {
    std::vector<std::string> out;
    for (const auto& section : options) out.push_back(section.name);
    return out;
  }
};

}  // namespace coho::trainer
