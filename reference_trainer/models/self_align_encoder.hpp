#pragma once

#include <span>
#include <string_view>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/prompt/self_align_prompt.hpp>

#include "tokenizer/sentencepiece.hpp"

namespace coho::trainer {

/// Prompts as tokens. `prefix()` is what all of them begin with, token by token: where a tokenizer joins the end of the
/// text in front of a question with the question's first characters, the prefix ends before that.
class self_align_encoder {
 public:
  self_align_encoder(const self_align_prompt& prompt, const sentencepiece_tokenizer& tokenizer);

  /// With the begin token, as all below.
  const std::vector<token>& prefix() const { return prefix_; }
  std::vector<token> operator()(std::string_view question) const;
  /// Whether a prompt begins with the prefix, and has more. A tokenizer may join what none of the probed beginnings
  /// show.
  bool begins_with_prefix(std::span<const token> tokens) const;

 private:
  const self_align_prompt* prompt_;
  const sentencepiece_tokenizer* tokenizer_;
  std::vector<token> prefix_;
};

}  // namespace coho::trainer
