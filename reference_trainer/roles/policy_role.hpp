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
#include "roles/trained_role.hpp"

namespace coho::trainer {

struct policy_role_options {
  /// The distribution is softmax(logits / temperature) over the tokens that are not banned, both in sampling and in
  /// scoring.
  double temperature = 1.0;
  std::vector<token> banned{};
  std::vector<token> end_tokens{};
  /// The exact bytes of each token; needed for stop strings.
  std::vector<std::string> token_texts{};
  /// Whether `forward` returns the entropy, and whether that is differentiable: a third product with the head.
  bool entropy = true, entropy_gradient = true;
  engine_options engine{};
  /// Tokens that every prompt of `generate` begins with, including the begin token: see generation_engine. Empty: none.
  /// Scoring (`log_probs`, `forward`) ignores it.
  std::vector<token> shared_prefix{};
};

/// A role of the bank as a language model: satisfies causal_lm, differentiable_policy and, if the role is trained,
/// trainable.
class policy_role : public trained_role {
 public:
  /// Throws option_error for a temperature of 0 or a banned token outside the vocabulary.
  policy_role(adapter_bank& bank, std::string role, policy_role_options options = {});

  /// One number per response token; `entropy` is empty without the option.
  struct output {
    std::vector<double> log_probs;
    std::vector<double> entropy;
  };
  /// Adds gradients to the role's parameters; holds the graph of one forward.
  class pullback {
   public:
    pullback(at::Tensor log_probs, at::Tensor entropy)
        : log_probs_(std::move(log_probs)), entropy_(std::move(entropy)) {}
    /// Throws argument_error for a gradient of an entropy that `forward` did not return or record.
    void operator()(const policy_gradient& gradient);

   private:
    at::Tensor log_probs_, entropy_;
  };

  /// Log-probabilities of the response tokens, concatenated; no gradient is recorded.
  std::vector<double> log_probs(const token_batch& batch);
  /// The same with the entropy of each position, and the pullback for their gradients.
  std::pair<output, pullback> forward(const token_batch& batch);

  /// An `options.temperature` other than this policy's is refused, because the log-probabilities would not be those of
  /// the sampler; 0 (greedy) is allowed. Banned tokens of both are banned.
  generation generate(const packed<token>& prompts, const generation_options& options, std::span<rng> streams);

  const policy_role_options& options() const { return options_; }

 private:
  // Log-probabilities and, if requested, entropies of the response tokens, [M] each.
  std::pair<at::Tensor, at::Tensor> evaluate(const token_batch& batch, bool entropy);

  policy_role_options options_;
  generation_engine engine_;
  at::Tensor logit_bias_;
};

}  // namespace coho::trainer
