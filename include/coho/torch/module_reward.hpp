#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/packed.hpp>
#include <coho/torch/module_gradients.hpp>
#include <coho/torch/module_tokens.hpp>

namespace coho::inline v0_1 {

/// A libtorch module as a reward model: reward_model, differentiable_reward_model and trainable.
///
/// The module's forward takes tokens [B, T] and returns scores [B, T] or [B, T, 1] (`token_module`). A query's score is
/// that at the last token of its prompt and response; its texts and principles are ignored. `padding`: any token of the
/// vocabulary, on the right of shorter rows. The module is held by reference.
///
/// Throws `argument_error` for queries without tokens and outputs of the wrong shape.
///
///     coho::module_reward reward{reward_module};
///     coho::reward_model_trainer trainer{reward, optimizer};
template <token_module Module>
class module_reward : public module_gradients {
 public:
  explicit module_reward(Module& module, token padding = 0)
      : module_gradients(detail::module_parameters(module)), module_(&module), padding_(padding) {}

  /// Holds the graph of one forward.
  class pullback {
   public:
    explicit pullback(at::Tensor scores) : scores_(std::move(scores)) {}
    /// Adds to the parameters' gradients; nothing for no scores.
    void operator()(std::span<const double> d_scores) const {
      if (!d_scores.empty()) scores_.backward(detail::from_doubles(d_scores, scores_));
    }

   private:
    at::Tensor scores_;
  };

  /// One forward over all queries, without a graph.
  std::vector<double> score(std::span<const reward_query> queries) {
    const at::NoGradGuard no_gradient;
    return detail::to_doubles(evaluate(queries));
  }
  /// The same with the graph; the pullback may be called once.
  std::pair<std::vector<double>, pullback> forward(std::span<const reward_query> queries) {
    at::Tensor scores = evaluate(queries);
    return {detail::to_doubles(scores), pullback(scores)};
  }

 private:
  // The score of each query [queries], in the graph: padded rows, read at each row's last real token.
  at::Tensor evaluate(std::span<const reward_query> queries) {
    if (queries.empty()) return at::empty({0});
    std::vector<std::vector<token>> sequences;
    std::size_t longest = 0;
    for (const auto& query : queries) {
      auto& tokens = sequences.emplace_back(query.prompt_tokens.begin(), query.prompt_tokens.end());
      tokens.insert(tokens.end(), query.response_tokens.begin(), query.response_tokens.end());
      require_argument(!tokens.empty(),
                       "module_reward: query " + std::to_string(sequences.size() - 1) + " has no tokens");
      longest = std::max(longest, tokens.size());
    }
    std::vector<std::int64_t> last;
    for (std::size_t i = 0; i < sequences.size(); ++i)
      last.push_back(static_cast<std::int64_t>(i * longest + sequences[i].size() - 1));
    const at::Device device = detail::device_of(detail::module_parameters(*module_));
    return detail::position_numbers(*module_, detail::padded_rows(sequences, padding_, device),
                                    detail::indices_tensor(last, device), "module_reward");
  }

  Module* module_;
  token padding_;
};

}  // namespace coho::inline v0_1
