#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/options.hpp>

namespace coho::inline v0_1 {

struct length_bonus_options {
  double coefficient = 5;                                ///< reward of a response of maximum length; finite
  double max_response_tokens = 1024;                     ///< > 0
  double cap = std::numeric_limits<double>::infinity();  ///< upper bound on length ratio × multiplier; > 0

  /// +5 for general prompts; for reasoning prompts −2: set the coefficient, or the record's multiplier −0.4.
  static length_bonus_options paper() { return {}; }
  /// The released code bounds the ratio.
  static length_bonus_options salmon_code() { return {.cap = 0.8}; }

  static void describe(auto&& visit, auto&... o) {
    visit({"coefficient", "reward of a response of maximum length"}, o.coefficient...);
    visit({"max_response_tokens", "longest response, which earns the whole bonus", allowed::above(0), "tokens"},
          o.max_response_tokens...);
    visit({"cap", "upper bound of length ratio × multiplier", allowed::above(0).or_infinity()}, o.cap...);
  }
};

/// A reward for length (SALMON §3.3, App. F):
///
///     coefficient · min(response tokens / max_response_tokens · multiplier, cap)
///
/// with the multiplier of the prompt's record (`reward_query::length_multiplier`). Throws option_error at construction.
///
///     coho::length_bonus bonus{{.coefficient = 5, .max_response_tokens = 1024, .cap = 0.8}};
///     reward += bonus(query);
class length_bonus {
 public:
  explicit length_bonus(const length_bonus_options& options = {}) : options_(options) { validate(options); }

  /// Of a query: with its response's tokens and its record's multiplier.
  double operator()(const reward_query& query) const {
    return (*this)(query.response_tokens.size(), query.length_multiplier);
  }
  double operator()(std::size_t response_tokens, double multiplier = 1) const noexcept {
    const double ratio = static_cast<double>(response_tokens) / options_.max_response_tokens * multiplier;
    return options_.coefficient * std::min(ratio, options_.cap);
  }

 private:
  length_bonus_options options_;
};

/// A reward for answering in the language of the prompt (SALMON §3.3): `coefficient` if the identifier gives both the
/// same language, else 0. An identifier that returns std::optional gives no bonus where it detects no language. Throws
/// option_error when the coefficient is not finite.
///
///     coho::language_bonus bonus{[](std::string_view text) { return identify(text); }, 1.0};
///     reward += bonus(query);
template <language_identifier Identifier>
class language_bonus {
 public:
  explicit language_bonus(Identifier identifier, double coefficient = 1)
      : identifier_(std::move(identifier)), coefficient_(coefficient) {
    require_option(std::isfinite(coefficient), "coefficient", coefficient, "finite");
  }

  /// `coefficient` or 0; identifies the languages of the query's prompt and response texts.
  double operator()(const reward_query& query) const {
    const auto asked = identifier_(query.prompt);
    const auto answered = identifier_(query.response);
    if constexpr (requires { asked.has_value(); }) {
      if (!asked.has_value() || !answered.has_value()) return 0;
    }
    return asked == answered ? coefficient_ : 0;
  }

 private:
  Identifier identifier_;
  double coefficient_;
};

}  // namespace coho::inline v0_1
