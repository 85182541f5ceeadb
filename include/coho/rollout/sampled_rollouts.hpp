#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/detail/if_called.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/packed.hpp>
#include <coho/rollout/trajectory.hpp>

namespace coho::inline v0_1 {

/// Prompts with responses that were sampled from the policy, by any program: the argument of `update` of the on-policy
/// drivers. Only `prompts` and `responses` are required.
///
///     coho::sampled_rollouts rollouts{.prompts = prompts, .responses = responses, .scores = scores};
///     trainer.update(rollouts);
struct sampled_rollouts {
  std::vector<rl_prompt> prompts{};      ///< keys are unique: they order the minibatches
  packed<token> responses{};             ///< one per prompt, at least one token each, end tokens included
  std::vector<std::uint8_t> finished{};  ///< 0 where the length limit cut the response; empty: all finished
  std::vector<double> log_probs{};       ///< the sampler's, laid out as `responses.values`, nats; empty: unknown
  std::vector<std::string> texts{};      ///< of the responses, for the reward model; empty: decoded from the tokens
  /// One per response, in place of the reward model's (normalisation and bonuses still apply); empty: the model is
  /// asked.
  std::vector<double> scores{};

  std::size_t size() const noexcept { return prompts.size(); }

  /// Rollouts [begin, end); members that are empty stay empty.
  template <class = detail::if_called>
  sampled_rollouts slice(std::size_t begin, std::size_t end) const {
    const auto cut = [&](const auto& all) {
      using list = std::remove_cvref_t<decltype(all)>;
      const auto at = [&](std::size_t i) { return all.begin() + static_cast<std::ptrdiff_t>(i); };
      return all.empty() ? list{} : list(at(begin), at(end));
    };
    sampled_rollouts out{
        .prompts = cut(prompts), .finished = cut(finished), .texts = cut(texts), .scores = cut(scores)};
    for (std::size_t i = begin; i < end; ++i) out.responses.push_back(responses[i]);
    if (!log_probs.empty()) {
      out.log_probs.assign(log_probs.begin() + static_cast<std::ptrdiff_t>(responses.offsets[begin]),
                           log_probs.begin() + static_cast<std::ptrdiff_t>(responses.offsets[end]));
    }
    return out;
  }
};

/// Throws `argument_error` when rollouts are unusable: prompts as in `check_prompts`, counts that differ, empty
/// responses, non-finite numbers.
template <std::same_as<sampled_rollouts> Rollouts = sampled_rollouts>
void check_rollouts(const std::type_identity_t<Rollouts>& rollouts) {
  check_prompts(detail::span_of(rollouts.prompts));
  const std::size_t count = rollouts.size();
  const auto require_count = [](std::size_t size, std::size_t expected, std::string_view what, std::string_view of) {
    require_argument(size == expected, "the rollouts have " + std::to_string(size) + " " + std::string(what) +
                                           " where " + std::to_string(expected) + " were expected, " + std::string(of));
  };
  require_count(rollouts.responses.size(), count, "responses", "one per prompt");
  require_argument(
      rollouts.responses.offsets.front() == 0 && rollouts.responses.offsets.back() == rollouts.responses.values.size(),
      "the offsets of the responses do not fit their tokens");
  for (std::size_t i = 0; i < count; ++i) {
    require_argument(rollouts.responses.offsets[i] < rollouts.responses.offsets[i + 1],
                     "response " + std::to_string(i) + " is empty: a response holds at least its end token");
  }
  const auto require_all_or_none = [&](const auto& list, std::size_t expected, const char* what, const char* of) {
    if (!list.empty()) require_count(list.size(), expected, what, of);
  };
  require_all_or_none(rollouts.finished, count, "finished flags", "one per response, or none");
  require_all_or_none(rollouts.texts, count, "texts", "one per response, or none");
  require_all_or_none(rollouts.scores, count, "scores", "one per response, or none");
  require_all_or_none(rollouts.log_probs, rollouts.responses.total(), "log_probs", "one per response token, or none");
  for (std::size_t i = 0; i < rollouts.finished.size(); ++i) {
    require_argument(rollouts.finished[i] <= 1, "finished flag " + std::to_string(i) + " is neither 0 nor 1");
  }
  for (std::size_t i = 0; i < rollouts.scores.size(); ++i) {
    require_argument(std::isfinite(rollouts.scores[i]), "score " + std::to_string(i) + " is not finite");
  }
  for (std::size_t t = 0; t < rollouts.log_probs.size(); ++t) {
    require_argument(std::isfinite(rollouts.log_probs[t]),
                     "log-probability " + std::to_string(t) + " of the sampler is not finite");
  }
}

}  // namespace coho::inline v0_1
