#pragma once

#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>
#include <coho/reduce.hpp>
#include <coho/rollout/micro_batch.hpp>
#include <coho/train/steps/model_outputs.hpp>

namespace coho::inline v0_1 {

/// A prompt with a chosen and a rejected response. With a loss that judges responses one by one (KTO) either may be
/// empty: a single `chosen` is a desirable response, a single `rejected` an undesirable one.
struct direct_preference_example {
  std::vector<token> prompt{}, chosen{}, rejected{};
  double weight = 1;  ///< at least 0
  /// log π_ref of the responses, if known (`add_reference_log_probs`): then the reference is not evaluated.
  std::optional<double> reference_chosen{}, reference_rejected{};
};

/// Placeholder for a reference policy where the loss needs none.
struct no_reference_type {};
inline constexpr no_reference_type no_reference{};

namespace detail {

/// log p of each response of a batch: sums over its tokens. [sequences]
template <policy Model>
Eigen::ArrayXd response_log_probs(Model& model, const token_batch& batch, const batch_limits& limits,
                                  const char* what) {
  return sequence_sums(evaluate_log_probs(model, batch, limits, what), batch.responses.offsets);
}

/// The number of responses of an example: 0, 1 or 2.
template <class = detail::if_called>
double count_responses(const direct_preference_example& example) {
  return static_cast<double>(!example.chosen.empty()) + static_cast<double>(!example.rejected.empty());
}

/// Throws `argument_error` for an unusable example; `number` is its position in the batch.
template <class = detail::if_called>
void check_example(const direct_preference_example& example, std::size_t number, bool needs_pairs) {
  const std::string name = "preference example " + std::to_string(number);
  require_argument(!example.prompt.empty(), name + " has no prompt tokens");
  require_argument(std::isfinite(example.weight) && example.weight >= 0, name + " has a weight below 0");
  require_argument(count_responses(example) == 2 || (!needs_pairs && count_responses(example) > 0),
                   name + (needs_pairs ? " has an empty response: this loss compares two" : " has no response"));
}

/// The pairs of KTO's baseline: the prompts of the examples at `indices`, each with the response to the next example of
/// the whole batch. Examples of weight 0 or without a response are left out.
template <class = detail::if_called>
token_batch mismatched_responses(std::span<const direct_preference_example> batch,
                                 const std::vector<std::size_t>& indices) {
  const auto usable = [](const direct_preference_example& e) { return e.weight > 0 && count_responses(e) > 0; };
  token_batch out;
  for (const std::size_t i : indices) {
    if (!usable(batch[i])) continue;
    std::size_t next = (i + 1) % batch.size();
    while (!usable(batch[next])) next = (next + 1) % batch.size();
    if (next == i) continue;  // the only one
    out.prompts.push_back(batch[i].prompt);
    out.responses.push_back(batch[next].chosen.empty() ? batch[next].rejected : batch[next].chosen);
  }
  return out;
}

/// The responses of examples as one batch, all chosen ones before all rejected ones; a missing one is an empty
/// response.
template <class = detail::if_called>
token_batch chosen_then_rejected(std::span<const direct_preference_example> examples) {
  token_batch out;
  for (const auto& example : examples) {
    out.prompts.push_back(example.prompt);
    out.responses.push_back(example.chosen);
  }
  for (const auto& example : examples) {
    out.prompts.push_back(example.prompt);
    out.responses.push_back(example.rejected);
  }
  return out;
}

}  // namespace detail

/// Fills in the reference log-probs of examples that have none, once for all epochs. Then `no_reference` can be given
/// to the trainer, and the reference's memory freed.
struct add_reference_log_probs_fn {
  template <policy Reference>
  void operator()(std::span<direct_preference_example> examples, Reference& reference,
                  const batch_limits& limits = {}) const {
    const auto n = static_cast<Eigen::Index>(examples.size());
    const Eigen::ArrayXd sums = detail::response_log_probs(reference, detail::chosen_then_rejected(examples), limits,
                                                           "log_probs of the reference policy");
    for (Eigen::Index i = 0; i < n; ++i) {
      auto& example = examples[static_cast<std::size_t>(i)];
      if (!example.reference_chosen) example.reference_chosen = sums(i);
      if (!example.reference_rejected) example.reference_rejected = sums(n + i);
    }
  }
};
inline constexpr add_reference_log_probs_fn add_reference_log_probs{};

}  // namespace coho::inline v0_1
