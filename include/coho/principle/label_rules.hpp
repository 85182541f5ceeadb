#pragma once

#include <cstdint>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/principle/judging.hpp>
#include <coho/principle/principle.hpp>

namespace coho::inline v0_1 {

/// The facts about a pair that rules use: response A (index 0) and B (index 1).
struct rule_facts {
  bool holds_banned_phrase[2] = {false, false};
  /// Whether the response is in the prompt's language; empty for the pair if that is unknown, then the rule is off.
  struct languages {
    bool same[2] = {true, true};
  };
  std::optional<languages> language{};
};

/// Looks for banned phrases (ASCII case ignored) and compares languages. An identifier whose result has `has_value()`,
/// such as std::optional, may return it empty for text that it cannot identify: such a prompt gives no language facts,
/// and such a response counts as one in the prompt's language, so that no pair is dropped for lack of evidence.
///
///     auto facts = coho::find_rule_facts(pair, std::vector<std::string>{"as an AI"}, identify);
struct find_rule_facts_fn {
  /// Banned phrases only: `language` stays empty. Throws `argument_error` for an empty phrase.
  template <std::ranges::input_range Phrases>
  rule_facts operator()(const response_pair& pair, const Phrases& banned_phrases) const {
    rule_facts out;
    for (const auto& phrase : banned_phrases) {
      require_argument(!std::string_view(phrase).empty(), "a banned phrase is empty: every response would hold it");
      out.holds_banned_phrase[0] |= detail::contains_ignoring_case(pair.response_a, phrase);
      out.holds_banned_phrase[1] |= detail::contains_ignoring_case(pair.response_b, phrase);
    }
    return out;
  }
  /// Banned phrases and languages.
  template <std::ranges::input_range Phrases, language_identifier Identifier>
  rule_facts operator()(const response_pair& pair, const Phrases& banned_phrases, const Identifier& identify) const {
    rule_facts out = (*this)(pair, banned_phrases);
    const auto wanted = identify(std::string_view(pair.instruction));
    if constexpr (requires { wanted.has_value(); }) {
      if (!wanted.has_value()) return out;
    }
    const auto matches = [&](const std::string& response) {
      const auto found = identify(std::string_view(response));
      if constexpr (requires { found.has_value(); })
        return !found.has_value() || found == wanted;
      else
        return found == wanted;
    };
    out.language = rule_facts::languages{{matches(pair.response_a), matches(pair.response_b)}};
    return out;
  }
};
inline constexpr find_rule_facts_fn find_rule_facts{};

/// Which rule decided a label.
enum class label_rule : std::uint8_t { none, banned_phrase, language };

}  // namespace coho::inline v0_1
