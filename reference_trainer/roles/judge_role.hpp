#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/rollout/micro_batch.hpp>

#include "llama/adapter_bank.hpp"
#include "roles/prefix_groups.hpp"
#include "tokenizer/text_tokenizer.hpp"

namespace coho::trainer {

struct judge_role_options {
  /// The limits of one forward pass.
  batch_limits limits{.sequences = 0, .tokens = 8192, .sort_by_length = true};
  /// The shortest prefix of prompts that is computed once for all that begin with it; 0 processes every prompt
  /// separately.
  std::size_t shortest_prefix = 32;
};

/// A role of the bank as a judge of next tokens: satisfies choice_judge. Prompt and answer are encoded as one text,
/// because a tokenizer may merge a letter with the character before it ("(" and "a" to a token "(a"): the model reads
/// the common beginning of the two texts, and the answers are compared on the tokens after it.
///
/// Prompts of one call that begin with the same tokens (those of one pair under several principles, if the template
/// names the principle after the outputs) are processed together, the common tokens once. The log-odds equal those of
/// the whole prompts to rounding.
class judge_role {
 public:
  judge_role(adapter_bank& bank, std::string role, const text_tokenizer& tokenizer, judge_role_options options = {})
      : bank_(&bank), role_(std::move(role)), tokenizer_(&tokenizer), options_(options) {}

  /// log p(first) − log p(second) as the continuation of each prompt, including answers of several tokens. Throws
  /// argument_error if the tokens of one answer are a prefix of the other's.
  std::vector<double> log_odds(std::span<const std::string> prompts, std::string_view first, std::string_view second);

  /// The number of tokens of all prompts so far, and of those that the model processed for them.
  struct token_counts {
    std::size_t asked = 0, computed = 0;
  };
  const token_counts& counts() const { return counts_; }

 private:
  struct question;
  // Log-odds of the chosen questions, whose answers are one token each, in one forward pass.
  std::vector<double> compare_next(const std::vector<question>& questions, std::span<const std::size_t> chosen);
  // The same for groups that share prefixes, in the order of their members.
  std::vector<double> compare_next(const std::vector<question>& questions, std::span<const shared_sequences> groups);
  // w(first)·h − w(second)·h for each chosen question, with hidden [chosen, H] at its last token.
  std::vector<double> logit_differences(const std::vector<question>& questions, std::span<const std::size_t> chosen,
                                        const at::Tensor& hidden) const;
  // The log-odds of one question whose answers have several tokens.
  double compare_continuations(const question& question);

  adapter_bank* bank_;
  std::string role_;
  const text_tokenizer* tokenizer_;
  judge_role_options options_;
  token_counts counts_;
};

}  // namespace coho::trainer
