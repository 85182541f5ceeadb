#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/rollout/minibatch.hpp>

#include "adapters/adapter_bank.hpp"
#include "text/sentencepiece.hpp"

namespace coho::trainer {

/// A role of the bank as a judge of next tokens: satisfies choice_judge. Prompt and answer are encoded as one text,
/// since a tokenizer may join a letter with what stands before it ("(" and "a" with a token "(a"): the model reads what
/// the two texts have in common, and the answers are compared on the tokens behind that.
class judge_role {
 public:
  judge_role(adapter_bank& bank, std::string role, const sentencepiece_tokenizer& tokenizer,
             batch_limits limits = {.sequences = 0, .tokens = 8192, .sort_by_length = true})
      : bank_(&bank), role_(std::move(role)), tokenizer_(&tokenizer), limits_(limits) {}

  /// log p(first) − log p(second) as the continuation of each prompt, answers of several tokens included. Throws
  /// argument_error when the tokens of one answer begin those of the other.
  std::vector<double> log_odds(std::span<const std::string> prompts, std::string_view first, std::string_view second);

  /// Tokens of the prompts that were judged so far, for rates.
  std::uint64_t tokens_read() const noexcept { return tokens_read_; }

 private:
  struct question;
  std::vector<double> compare_next(std::span<const question* const> questions) const;
  double compare_continuations(const question& question) const;

  adapter_bank* bank_;
  std::string role_;
  const sentencepiece_tokenizer* tokenizer_;
  batch_limits limits_;
  std::uint64_t tokens_read_ = 0;
};

}  // namespace coho::trainer
