#pragma once

#include <span>
#include <string_view>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/prompt/self_align_prompt.hpp>

#include "tokenizer/text_tokenizer.hpp"

namespace coho::trainer {

/// Prompts as tokens. `prefix()` is the common beginning of all prompts, token by token: if a tokenizer merges the end
/// of the text before a question with the question's first characters, the prefix ends before that.
class self_align_encoder {
 public:
  /// Finds the prefix by encoding prompts for questions of every kind. Both arguments must outlive it.
  self_align_encoder(const self_align_prompt& prompt, const text_tokenizer& tokenizer);

  /// The common beginning. It includes the begin token, as do all tokens below.
  const std::vector<token>& prefix() const { return prefix_; }
  /// The whole prompt for a question.
  std::vector<token> operator()(std::string_view question) const;
  /// Whether a prompt begins with the prefix and has more tokens. A tokenizer may merge characters that no probed
  /// beginning shows.
  bool begins_with_prefix(std::span<const token> tokens) const;

 private:
  const self_align_prompt* prompt_;
  const text_tokenizer* tokenizer_;
  std::vector<token> prefix_;
};

}  // namespace coho::trainer
