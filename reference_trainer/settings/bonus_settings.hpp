#pragma once

#include <cstddef>
#include <string>

#include <coho/reward/symbolic.hpp>

#include "config/config.hpp"
#include "config/recipe_option.hpp"

namespace coho::trainer {

/// The keys of the rewards that need no model, in the section `ppo`; 0 switches a bonus off.
struct bonus_options {
  double language_bonus = 0;
  std::string language_identifier = "cld2";
  length_bonus_options length_bonus{.coefficient = 0};

  /// Under a preset, for responses of at most that many tokens.
  static bonus_options for_preset(recipe_preset preset, std::size_t max_new_tokens);
  static void describe(auto&& visit, auto&... o) {
    visit({"language_bonus", "reward of a response in the language of its prompt"}, o.language_bonus...);
    visit({"language_identifier", "cld2, or the name of a registered one"}, o.language_identifier...);
    visit({"length_bonus", "reward for length"}, o.length_bonus...);
  }
  /// config_error for an unknown identifier.
  void check_constraints(const config& section) const;
};
/// From the section "ppo". Throws config_error, also for keys of a bonus that is off.
bonus_options read_bonus(const config& section, recipe_preset preset, std::size_t max_new_tokens);

}  // namespace coho::trainer
