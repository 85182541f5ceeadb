#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/principle/principle.hpp>
#include <coho/prompt/judge_prompt.hpp>

namespace coho::inline v0_1 {

/// A prompt with two responses, to be judged.
struct response_pair {
  std::string instruction{};
  std::string response_a{};
  std::string response_b{};
};

/// How much a judge prefers response A to response B under one principle, as log-odds (nats), in both orders.
///
/// ab: A shown first, log p("a") − log p("b"). ba: B shown first, with the sign flipped, so that it also favours A.
struct judge_score {
  double ab = 0.0;
  double ba = 0.0;

  /// (ab + ba) / 2: position bias cancels (SALMON, §3.2).
  double mean() const noexcept { return 0.5 * (ab + ba); }
  /// Both orders name the same response.
  bool agrees() const noexcept { return (ab > 0 && ba > 0) || (ab < 0 && ba < 0); }
  friend bool operator==(const judge_score&, const judge_score&) = default;
};

/// The scores of one pair, one per principle, in the order of the list of principles.
struct pair_judgement {
  std::vector<judge_score> scores{};
  friend bool operator==(const pair_judgement&, const pair_judgement&) = default;
};

/// The prompts that judge one pair under every principle: two per principle, A first then B first; 2P texts for P
/// principles.
///
///     std::vector<std::string> prompts = coho::judge_prompts(prompt, pair, principles);
struct judge_prompts_fn {
  template <principle_range Principles>
  std::vector<std::string> operator()(const judge_prompt& prompt, const response_pair& pair,
                                      const Principles& principles) const {
    std::vector<std::string> out;
    for (const principle& p : principles) {
      out.push_back(prompt(pair.instruction, pair.response_a, pair.response_b, p.name, p.definition));
      out.push_back(prompt(pair.instruction, pair.response_b, pair.response_a, p.name, p.definition));
    }
    return out;
  }
};
inline constexpr judge_prompts_fn judge_prompts{};

/// Combines the log-odds of the two orders.
///
/// log_odds: one number per prompt, in the order of `judge_prompts`, log p(first) − log p(second) of the outputs as
/// shown; 2P numbers. Throws `argument_error` for an odd count and for a non-finite number.
///
///     coho::pair_judgement judgement = coho::combine_orders(judge.log_odds(prompts, "a", "b"));
struct combine_orders_fn {
  template <std::ranges::input_range Numbers>
    requires std::convertible_to<std::ranges::range_reference_t<Numbers>, double>
  pair_judgement operator()(const Numbers& log_odds) const {
    pair_judgement out;
    bool second = false;
    for (const double value : log_odds) {
      require_argument(std::isfinite(value), "the judge's log-odds for principle " +
                                                 std::to_string(out.scores.size() - second) +
                                                 " of a pair are not finite");
      if (second) {
        out.scores.back().ba = -value;
      } else {
        out.scores.push_back({value, 0.0});
      }
      second = !second;
    }
    require_argument(!second, "the judge's log-odds do not come in twos: one for each order of the outputs");
    return out;
  }
};
inline constexpr combine_orders_fn combine_orders{};

/// Judges pairs under every principle with a `choice_judge`, all prompts in one call.
///
/// Returns one judgement per pair. Throws `argument_error` if the judge returns another number of values than it was
/// asked for, or one that is not finite.
///
///     auto judgements = coho::judge_pairs(judge, prompt, pairs, principles);
struct judge_pairs_fn {
  template <choice_judge Judge, principle_range Principles>
  std::vector<pair_judgement> operator()(Judge& judge, const judge_prompt& prompt, std::span<const response_pair> pairs,
                                         const Principles& principles) const {
    std::vector<std::string> prompts;
    for (const auto& pair : pairs) {
      for (auto& text : judge_prompts(prompt, pair, principles)) prompts.push_back(std::move(text));
    }
    if (prompts.empty()) return std::vector<pair_judgement>(pairs.size());
    const auto answers = judge.log_odds(detail::span_of(std::as_const(prompts)), judge_prompt::first_answer,
                                        judge_prompt::second_answer);
    const std::size_t each = prompts.size() / pairs.size();
    require_argument(std::ranges::size(answers) == prompts.size(),
                     "the judge answered " + std::to_string(std::ranges::size(answers)) + " of " +
                         std::to_string(prompts.size()) + " prompts");
    std::vector<pair_judgement> out;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      out.push_back(combine_orders(std::span(std::ranges::data(answers) + i * each, each)));
    }
    return out;
  }
};
inline constexpr judge_pairs_fn judge_pairs{};

}  // namespace coho::inline v0_1
