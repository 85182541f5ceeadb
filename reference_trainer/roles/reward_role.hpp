#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/prompt/reward_prompt.hpp>
#include <coho/rollout/micro_batch.hpp>

#include "llama/adapter_bank.hpp"
#include "roles/trained_role.hpp"
#include "tokenizer/text_tokenizer.hpp"

namespace coho::trainer {

struct reward_role_options {
  /// How many of the query's last and the response's first tokens are kept (SALMON's scripts: 128 and 768); 0: all.
  std::size_t query_tokens = 0;
  std::size_t response_tokens = 0;
  /// The limits of one forward of `score`.
  batch_limits scoring{.sequences = 0, .tokens = 8192, .sort_by_length = true};
};

/// What a reward model was given to score or to train on, and how much of it was cut.
struct reward_cuts {
  std::uint64_t read = 0;                    ///< queries and responses, as pairs
  std::uint64_t queries = 0, responses = 0;  ///< those that were cut
};

/// The tokens of a query laid out by its prompt, cut as the options say, including the begin token. `prompt` lays out
/// queries with principles; `plain`, if given, those without. Counts in `cuts`.
std::vector<token> reward_tokens(const reward_query& query, const text_tokenizer& tokenizer,
                                 const reward_prompt& prompt, const std::optional<reward_prompt>& plain,
                                 const reward_role_options& options, reward_cuts& cuts);

/// A role of the bank with a scalar head as a reward model: the query is laid out by a reward prompt (SALMON §3.3), the
/// score read at its last token. Satisfies reward_model, differentiable_reward_model and, if the role is trained,
/// trainable.
class reward_role : public trained_role {
 public:
  /// `prompt` lays out queries with principles; `plain`, if given, those without (preference pre-training).
  reward_role(adapter_bank& bank, std::string role, const text_tokenizer& tokenizer, reward_prompt prompt,
              reward_role_options options = {}, std::optional<reward_prompt> plain = std::nullopt);

  /// Adds gradients to the role's parameters, dL/dscore per query; holds the graph of one forward.
  class pullback {
   public:
    explicit pullback(at::Tensor scores) : scores_(std::move(scores)) {}
    void operator()(std::span<const double> d_scores);

   private:
    at::Tensor scores_;
  };

  /// One score per query, in forward passes within `scoring`; no gradient is recorded.
  std::vector<double> score(std::span<const reward_query> queries);
  /// The scores of one forward pass over all queries, and the pullback for their gradients.
  std::pair<std::vector<double>, pullback> forward(std::span<const reward_query> queries);

  /// The number of tokens processed so far, for rates.
  std::uint64_t tokens_read() const noexcept { return tokens_read_; }
  const reward_cuts& cuts() const noexcept { return cuts_; }
  const reward_role_options& options() const noexcept { return options_; }
  /// `reward_tokens` of a query; counts in `cuts`.
  std::vector<token> tokens(const reward_query& query) const {
    return reward_tokens(query, *tokenizer_, prompt_, plain_, options_, cuts_);
  }

  /// Whether two queries of one prompt become the same tokens: their responses are equal, or differ only after the part
  /// that is read. Such a pair carries no information.
  bool same_tokens_read(const reward_query& a, const reward_query& b) const;

 private:
  // Scores [B] at the last tokens.
  at::Tensor evaluate(std::span<const std::vector<token>> sequences);

  const text_tokenizer* tokenizer_;
  reward_prompt prompt_;
  std::optional<reward_prompt> plain_;
  reward_role_options options_;
  std::uint64_t tokens_read_ = 0;
  mutable reward_cuts cuts_;
};

}  // namespace coho::trainer
