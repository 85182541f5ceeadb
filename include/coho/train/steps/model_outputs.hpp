#pragma once

#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/detail/if_called.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/rollout/micro_batch.hpp>
#include <coho/rollout/minibatch.hpp>

namespace coho::inline v0_1 {

/// A model's output as an Eigen array of double. Throws `argument_error` when its length is not the expected one or a
/// number in it is not finite: model outputs are checked once, here, so that no NaN spreads.
struct checked_output_fn {
  template <number_range Range>
  Eigen::ArrayXd operator()(const Range& range, std::size_t expected, std::string_view what) const {
    const auto size = static_cast<std::size_t>(std::ranges::size(range));
    require_argument(size == expected, std::string(what) + ": the model returned " + std::to_string(size) +
                                           " numbers where " + std::to_string(expected) + " were expected");
    Eigen::ArrayXd out(static_cast<Eigen::Index>(size));
    Eigen::Index at = 0;
    for (const auto value : range) {
      const auto number = static_cast<double>(value);
      if (!std::isfinite(number)) {
        throw argument_error(std::string(what) + ": number " + std::to_string(at) +
                             " that the model returned is not finite");
      }
      out(at++) = number;
    }
    return out;
  }
};
inline constexpr checked_output_fn checked_output{};

/// The tokens of each sequence of a batch, prompt and response.
template <class = detail::if_called>
std::vector<std::size_t> sequence_lengths(const token_batch& batch) {
  std::vector<std::size_t> out(batch.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = batch.prompts.length(i) + batch.responses.length(i);
  return out;
}

namespace detail {

/// One number per response token from `evaluate(part)`, called on parts of the batch within the limits; the order of
/// the batch is kept. Each output is checked by `checked_output`.
template <class Evaluate>
Eigen::ArrayXd evaluate_in_batches(const token_batch& batch, const batch_limits& limits, std::string_view what,
                                   Evaluate evaluate) {
  Eigen::ArrayXd out(static_cast<Eigen::Index>(batch.responses.total()));
  const auto lengths = sequence_lengths(batch);
  for (const auto& indices : micro_batches(detail::span_of(lengths), limits)) {
    const token_batch part = batch.select(indices);
    scatter(checked_output(evaluate(part), part.responses.total(), what), batch.responses.offsets, indices, out);
  }
  return out;
}

}  // namespace detail

/// `model.log_probs(batch)` in parts within the limits, checked. [response tokens]
struct evaluate_log_probs_fn {
  template <policy Model>
  Eigen::ArrayXd operator()(Model& model, const token_batch& batch, const batch_limits& limits = {},
                            std::string_view what = "log_probs") const {
    return detail::evaluate_in_batches(batch, limits, what,
                                       [&](const token_batch& part) { return model.log_probs(part); });
  }
};
inline constexpr evaluate_log_probs_fn evaluate_log_probs{};

/// `model.values(batch)` in parts within the limits, checked. [response tokens]
struct evaluate_values_fn {
  template <value_model Model>
  Eigen::ArrayXd operator()(Model& model, const token_batch& batch, const batch_limits& limits = {}) const {
    return detail::evaluate_in_batches(batch, limits, "values",
                                       [&](const token_batch& part) { return model.values(part); });
  }
};
inline constexpr evaluate_values_fn evaluate_values{};

/// The tokens of each query, prompt and response; 0 for queries without tokens.
template <class = detail::if_called>
std::vector<std::size_t> query_lengths(std::span<const reward_query> queries) {
  std::vector<std::size_t> out(queries.size());
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = queries[i].prompt_tokens.size() + queries[i].response_tokens.size();
  return out;
}

/// The scores of queries in parts within the limits, checked. [queries]
struct evaluate_scores_fn {
  template <reward_model Model>
  Eigen::ArrayXd operator()(Model& model, std::span<const reward_query> queries,
                            const batch_limits& limits = {}) const {
    Eigen::ArrayXd out(static_cast<Eigen::Index>(queries.size()));
    const auto lengths = query_lengths(queries);
    for (const auto& indices : micro_batches(detail::span_of(lengths), limits)) {
      std::vector<reward_query> part;
      for (const std::size_t i : indices) part.push_back(queries[i]);
      const Eigen::ArrayXd scores =
          checked_output(score_queries(model, detail::span_of(part)), part.size(), "reward model scores");
      for (std::size_t k = 0; k < indices.size(); ++k) {
        out(static_cast<Eigen::Index>(indices[k])) = scores(static_cast<Eigen::Index>(k));
      }
    }
    return out;
  }
};
inline constexpr evaluate_scores_fn evaluate_scores{};

}  // namespace coho::inline v0_1
