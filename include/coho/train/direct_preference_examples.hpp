#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/reduce.hpp>
#include <coho/rollout/minibatch.hpp>
#include <coho/train/steps/model_outputs.hpp>

namespace coho {

/// A prompt with a preferred and another response. With a loss that judges responses one by one (KTO) either may be
/// empty: then `preferred` alone is a desirable response, `other` alone an undesirable one.
struct direct_preference_example {
  std::vector<token> prompt{}, preferred{}, other{};
  double weight = 1;  ///< at least 0
  /// log π_ref of the responses where they are known (`add_reference_log_probs`): then the reference is not evaluated.
  std::optional<double> reference_preferred{}, reference_other{};
};

/// Stands for a reference policy where the loss needs none.
struct no_reference_type {};
inline constexpr no_reference_type no_reference{};

namespace detail {

/// log p of each response of a batch: sums over its tokens. [sequences]
template <policy Model>
Eigen::ArrayXd response_log_probs(Model& model, const token_batch& batch, const batch_limits& limits,
                                  const char* what) {
  return sequence_sums(evaluate_log_probs(model, batch, limits, what), batch.responses.offsets);
}

/// The responses of examples, preferred ones first; a missing one is an empty response.
template <class = void>
token_batch responses_of(std::span<const direct_preference_example> examples) {
  token_batch out;
  for (const auto& example : examples) {
    out.prompts.push_back(example.prompt);
    out.responses.push_back(example.preferred);
  }
  for (const auto& example : examples) {
    out.prompts.push_back(example.prompt);
    out.responses.push_back(example.other);
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
    const Eigen::ArrayXd sums = detail::response_log_probs(reference, detail::responses_of(examples), limits,
                                                           "log_probs of the reference policy");
    for (Eigen::Index i = 0; i < n; ++i) {
      auto& example = examples[static_cast<std::size_t>(i)];
      if (!example.reference_preferred) example.reference_preferred = sums(i);
      if (!example.reference_other) example.reference_other = sums(n + i);
    }
  }
};
inline constexpr add_reference_log_probs_fn add_reference_log_probs{};

}  // namespace coho
