#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <coho/concepts.hpp>
#include <coho/reward/symbolic.hpp>

#include "config/config.hpp"

namespace coho::trainer {

/// The language of a text, by whatever code; the same code, the same language. None where it cannot be told.
using language_identifier_function = std::function<std::optional<std::string>(std::string_view)>;

/// Makes a language identifier known to `ppo.language_identifier` by a name of its own; "cld2" is always known.
void register_language_identifier(const std::string& name, language_identifier_function identifier);

/// The rewards of a response that no model gives (SALMON §3.3, App. F), each by itself and as their sum.
class symbolic_rewards {
 public:
  symbolic_rewards(std::optional<length_bonus> length, language_identifier_function identifier,
                   double language_coefficient)
      : length_(std::move(length)), same_(std::move(identifier), 1.0), language_coefficient_(language_coefficient) {}

  double operator()(const reward_query& query) const { return length(query) + language(query); }
  double length(const reward_query& query) const { return length_ ? (*length_)(query) : 0.0; }
  double language(const reward_query& query) const {
    return rewards_language() && same_language(query) ? language_coefficient_ : 0.0;
  }
  /// Whether response and prompt are in one language, rewarded or not.
  bool same_language(const reward_query& query) const { return same_(query) > 0; }

  bool rewards_length() const { return length_.has_value(); }
  bool rewards_language() const { return language_coefficient_ != 0; }

 private:
  std::optional<length_bonus> length_;
  language_bonus<language_identifier_function> same_;
  double language_coefficient_;
};

/// Of the section "ppo": `language_bonus`, `language_identifier`, `length_bonus.coefficient`, `.cap` and
/// `.max_response_tokens`; 0 switches a bonus off. Throws config_error, option_error.
symbolic_rewards read_bonus(const config& section, std::size_t max_new_tokens);

}  // namespace coho::trainer
