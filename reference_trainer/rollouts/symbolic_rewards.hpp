#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include <coho/concepts.hpp>
#include <coho/reward/breakdown.hpp>
#include <coho/reward/symbolic.hpp>

#include "settings/bonus_settings.hpp"
#include "text/language.hpp"

namespace coho::trainer {

/// The rewards of a response that need no model (SALMON §3.3, App. F), separately and as their sum.
class symbolic_rewards {
 public:
  symbolic_rewards(std::optional<length_bonus> length, language_identifier_function identifier,
                   double language_coefficient)
      : length_(std::move(length)), same_(std::move(identifier), 1.0), language_coefficient_(language_coefficient) {}
  /// Those of a recipe. Throws option_error.
  explicit symbolic_rewards(const bonus_options& options);

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

}  // namespace coho::trainer
