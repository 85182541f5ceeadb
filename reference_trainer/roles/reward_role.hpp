#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/prompt/reward_prompt.hpp>
#include <coho/rollout/minibatch.hpp>

#include "llama/adapter_bank.hpp"
#include "tokenizer/sentencepiece.hpp"

namespace coho::trainer {

struct reward_role_options {
  /// The query's last and the response's first tokens that are kept (SALMON's scripts: 128 and 768); 0: all.
  std::size_t query_tokens = 0;
  std::size_t response_tokens = 0;
  /// What one forward of `score` may hold.
  batch_limits scoring{.sequences = 0, .tokens = 8192, .sort_by_length = true};
};

/// What a reward model was given to score or to learn from, and how much of it had to be cut.
struct reward_cuts {
  std::uint64_t read = 0, queries = 0, responses = 0;
};

/// A role of the bank with a scalar head as a reward model: the query is laid out by a reward prompt (SALMON §3.3), the
/// score read at its last token. Satisfies reward_model, differentiable_reward_model and, when the role is trained,
/// trainable.
class reward_role {
 public:
  /// `prompt` lays out queries that bring principles; `plain`, where given, those that bring none (preference
  /// pre-training).
  reward_role(adapter_bank& bank, std::string role, const sentencepiece_tokenizer& tokenizer, reward_prompt prompt,
              reward_role_options options = {}, std::optional<reward_prompt> plain = std::nullopt);

  class pullback {
   public:
    explicit pullback(at::Tensor scores) : scores_(std::move(scores)) {}
    void operator()(std::span<const double> d_scores);

   private:
    at::Tensor scores_;
  };

  std::vector<double> score(std::span<const reward_query> queries);
  std::pair<std::vector<double>, pullback> forward(std::span<const reward_query> queries);

  /// Tokens that the model was given so far, for rates.
  std::uint64_t tokens_read() const noexcept { return tokens_read_; }
  const reward_cuts& cuts() const noexcept { return cuts_; }
  const reward_role_options& options() const noexcept { return options_; }
  /// The tokens that a query becomes, begin token included.
  std::vector<token> tokens(const reward_query& query) const;

  /// Whether two queries of one prompt become the same tokens: their responses are equal, or part behind what is read
  /// of them. Such a pair says nothing.
  bool reads_alike(const reward_query& a, const reward_query& b) const;

  void zero_gradients() { bank_->parameters(role_).zero_gradients(); }
  /// In host memory alone; those below work on any device.
  std::vector<std::span<float>> gradients() { return {bank_->parameters(role_).gradient_span()}; }
  double squared_gradient_norm() { return bank_->parameters(role_).squared_gradient_norm(); }
  void scale_gradients(double factor) { bank_->parameters(role_).scale_gradients(factor); }
  template <class Communicator>
  void all_reduce_gradients(Communicator& ranks) {
    bank_->parameters(role_).all_reduce_gradients(ranks);
  }
  void fold_gradients() { bank_->parameters(role_).fold_gradients(); }
  template <class Communicator>
  void unfold_gradients(Communicator& ranks) {
    bank_->parameters(role_).unfold_gradients(ranks);
  }
  void begin_share(std::size_t share) { bank_->parameters(role_).begin_share(share); }
  void end_shares() { bank_->parameters(role_).end_shares(); }

 private:
  at::Tensor evaluate(std::span<const std::vector<token>> sequences);

  adapter_bank* bank_;
  std::string role_;
  const sentencepiece_tokenizer* tokenizer_;
  reward_prompt prompt_;
  std::optional<reward_prompt> plain_;
  reward_role_options options_;
  std::uint64_t tokens_read_ = 0;
  mutable reward_cuts cuts_;
};

}  // namespace coho::trainer
