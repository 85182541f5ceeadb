#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/rollout/minibatch.hpp>

#include "llama/adapter_bank.hpp"
#include "roles/prefix_groups.hpp"
#include "tokenizer/sentencepiece.hpp"

namespace coho::trainer {

struct judge_role_options {
  /// What one forward may hold.
  batch_limits limits{.sequences = 0, .tokens = 8192, .sort_by_length = true};
  /// The shortest prefix of prompts that is computed once for all that begin with it; 0 reads every prompt whole.
  std::size_t shortest_prefix = 32;
};

/// A role of the bank as a judge of next tokens: satisfies choice_judge. Prompt and answer are encoded as one text,
/// since a tokenizer may join a letter with what stands before it ("(" and "a" with a token "(a"): the model reads what
/// the two texts have in common, and the answers are compared on the tokens behind that.
///
/// Prompts of one call that begin with the same tokens (those of one pair under several principles, where the template
/// names the principle behind the outputs) are read together, the common tokens once. The log-odds are those of the
/// whole prompts to rounding.
class judge_role {
 public:
  judge_role(adapter_bank& bank, std::string role, const sentencepiece_tokenizer& tokenizer,
             judge_role_options options = {})
      : bank_(&bank), role_(std::move(role)), tokenizer_(&tokenizer), options_(options) {}

  /// log p(first) − log p(second) as the continuation of each prompt, answers of several tokens included. Throws
  /// argument_error when the tokens of one answer begin those of the other.
  std::vector<double> log_odds(std::span<const std::string> prompts, std::string_view first, std::string_view second);

  /// Tokens of all prompts so far, and those that the model was run on for them.
  struct token_counts {
    std::size_t asked = 0, computed = 0;
  };
  const token_counts& counts() const { return counts_; }

 private:
  struct question;
  std::vector<double> compare_next(const std::vector<question>& questions, std::span<const std::size_t> chosen);
  std::vector<double> compare_next(const std::vector<question>& questions, std::span<const shared_sequences> groups);
  std::vector<double> differences(const std::vector<question>& questions, std::span<const std::size_t> chosen,
                                  const at::Tensor& hidden) const;
  double compare_continuations(const question& question);

  adapter_bank* bank_;
  std::string role_;
  const sentencepiece_tokenizer* tokenizer_;
  judge_role_options options_;
  token_counts counts_;
};

}  // namespace coho::trainer
