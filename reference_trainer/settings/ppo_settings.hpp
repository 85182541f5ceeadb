#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/train/options/ppo_options.hpp>

#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "optimization/adamw.hpp"
#include "run/stage_context.hpp"
#include "settings/optimizer_settings.hpp"

namespace coho::trainer {

/// What PPO normalises a reward model's scores by.
enum class normalization_from : std::uint8_t {
  none,            ///< mean and deviation of the options
  initial_policy,  ///< those of its scores of responses of the initial policy
  reward_model,    ///< those stored with it
};
constexpr auto option_names(normalization_from) { return std::array{"none", "initial_policy", "reward_model"}; }

/// The keys of `ppo.normalization` besides the library's.
struct normalization_source {
  normalization_from from = normalization_from::none;
  std::size_t samples = 0;

  static void describe(auto&& visit, auto&... o) {
    visit(otherwise("none; with samples initial_policy",
                    {"normalization.from",
                     "origin of mean and deviation: given here (none), measured on responses of the initial policy, "
                     "or stored with the reward model"}),
          o.from...);
    visit({"normalization.samples",
           "number of responses of the initial policy that mean and deviation are measured on",
           {},
           "responses"},
          o.samples...);
  }
};

/// The training in the section `ppo`: the library's options, and what recipes add to them.
struct ppo_training {
  recipe_preset preset = recipe_preset::paper;
  ppo_options options{};  ///< with the sampling of the preset
  recipe_learning_rate learning_rate{};
  std::vector<std::string> unfinished_stops{};
  normalization_source normalization{};
  adamw_options optimizer{};

  /// The defaults of a preset.
  static ppo_training of(recipe_preset preset);
  static void describe(auto&& visit, auto&... o) {
    visit({"preset", "origin of the defaults: the paper, or the released code"}, o.preset...);
    visit({"learning_rate", "learning rate of the policy"}, o.learning_rate...);
    normalization_source::describe(visit, o.normalization...);
    ppo_options::describe(without({"seed", "generation", "learning_rate"}, visit), o.options...);
    visit({"unfinished_stops", "texts that end a response but leave it unfinished"}, o.unfinished_stops...);
    visit({"optimizer", "AdamW"}, o.optimizer...);
  }
};

/// The library's options under a preset, with forward passes of at most 16384 tokens, which change no result.
ppo_options ppo_preset(recipe_preset preset);

/// The sections `ppo` and `generation` as options for a run of `steps`; `stop`: the stop strings of the prompts. Throws
/// config_error, option_error.
ppo_training read_ppo_training(const config& options, const stage_context& context,
                               const std::vector<std::string>& stop, std::uint64_t steps);

/// config_error where the normalisation needs a reward model or samples that are missing, or where a fixed mean and
/// deviation are given that it replaces.
void check_normalization(const config& section, const ppo_training& training, bool has_reward_model);

}  // namespace coho::trainer
