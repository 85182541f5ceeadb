#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <coho/concepts.hpp>
#include <coho/reward/breakdown.hpp>
#include <coho/reward/symbolic.hpp>

#include "config/config.hpp"
#include "config/recipe_option.hpp"

namespace coho::trainer {

/// A text's language as an arbitrary code; equal codes mean equal languages. None where unknown.
using language_identifier_function = std::function<std::optional<std::string>(std::string_view)>;

/// Makes a language identifier known to `ppo.language_identifier` by a given name; "cld2" is always known.
void register_language_identifier(const std::string& name, language_identifier_function identifier);

/// The rewards of a response that need no model (SALMON §3.3, App. F), separately and as their sum.
class symbolic_rewards {
 public:
  symbolic_rewards(std::optional<length_bonus> length, language_identifier_function identifier,
                   double language_coefficient)
      : length_(std::move(length)), same_(std::move(identifier), 1.0), language_coefficient_(language_coefficient) {}

  /// The sum of both; 0 for what is switched off.
  double operator()(const reward_query& query) const { return length(query) + language(query); }
  /// "language" and "length", for the breakdowns of rollouts: the text is identified once.
  std::array<reward_part, 2> parts(const reward_query& query) const {
    return {{{"language", language(query)}, {"length", length(query)}}};
  }
  /// The reward for length.
  double length(const reward_query& query) const { return length_ ? (*length_)(query) : 0.0; }
  /// The coefficient if response and prompt are in the same language.
  double language(const reward_query& query) const {
    return rewards_language() && same_language(query) ? language_coefficient_ : 0.0;
  }
  /// Whether response and prompt are in the same language, rewarded or not.
  bool same_language(const reward_query& query) const { return same_(query) > 0; }

  /// Whether the bonus is switched on.
  bool rewards_length() const { return length_.has_value(); }
  bool rewards_language() const { return language_coefficient_ != 0; }

 private:
  std::optional<length_bonus> length_;
  language_bonus<language_identifier_function> same_;
  double language_coefficient_;
};

/// Their keys in the section `ppo`; 0 switches a bonus off.
struct bonus_options {
  double language_bonus = 0;
  std::string language_identifier = "cld2";
  length_bonus_options length_bonus{.coefficient = 0};

  /// The defaults under a preset, for responses of at most that many tokens.
  static bonus_options for_preset(recipe_preset preset, std::size_t max_new_tokens);
  static void describe(auto&& visit, auto&... o) {
    visit({"language_bonus", "reward of a response in the language of its prompt"}, o.language_bonus...);
    visit({"language_identifier", "cld2, or the name of a registered one"}, o.language_identifier...);
    visit({"length_bonus", "reward for length"}, o.length_bonus...);
  }
  /// config_error for an unknown identifier.
  void settle(const config& section) const;
};
/// The bonus of the section "ppo". Throws config_error, option_error.
symbolic_rewards read_bonus(const config& section, recipe_preset preset, std::size_t max_new_tokens);

}  // namespace coho::trainer
