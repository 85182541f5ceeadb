#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>

#include "generation/engine.hpp"
#include "llama/adapter_bank.hpp"

namespace coho::trainer {

struct policy_role_options {
  /// The distribution is softmax(logits / temperature) over the tokens that are not banned, in sampling and scoring
  /// alike.
  double temperature = 1.0;
  std::vector<token> banned{};
  std::vector<token> end_tokens{};
  /// The exact bytes of each token; needed for stop strings.
  std::vector<std::string> token_texts{};
  /// Whether `forward` gives the entropy too, and whether that can be differentiated: a third product with the head.
  bool entropy = true, entropy_gradient = true;
  engine_options engine{};
  /// Tokens that every prompt of `generate` begins with, the begin token included: see generation_engine. Empty: none.
  /// Scoring (`log_probs`, `forward`) does not look at it.
  std::vector<token> shared_prefix{};
};

/// A role of the bank as a language model: satisfies causal_lm, differentiable_policy and, when the role is trained,
/// trainable.
class policy_role {
 public:
  policy_role(adapter_bank& bank, std::string role, policy_role_options options = {});

  struct output {
    std::vector<double> log_probs;
    std::vector<double> entropy;
  };
  /// Adds gradients to the role's parameters; holds the graph of one forward.
  class pullback {
   public:
    pullback(at::Tensor log_probs, at::Tensor entropy)
        : log_probs_(std::move(log_probs)), entropy_(std::move(entropy)) {}
    void operator()(const policy_gradient& gradient);

   private:
    at::Tensor log_probs_, entropy_;
  };

  std::vector<double> log_probs(const token_batch& batch);
  std::pair<output, pullback> forward(const token_batch& batch);

  /// `options.temperature` other than this policy's is refused, as the log-probabilities would not be those of the
  /// sampler; 0 (greedy) is allowed. Banned tokens of both are banned.
  generation generate(const packed<token>& prompts, const generation_options& options, std::span<rng> streams);

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

  const policy_role_options& options() const { return options_; }

 private:
  std::pair<at::Tensor, at::Tensor> evaluate(const token_batch& batch, bool entropy);

  adapter_bank* bank_;
  std::string role_;
  policy_role_options options_;
  generation_engine engine_;
  at::Tensor logit_bias_;
};

}  // namespace coho::trainer
