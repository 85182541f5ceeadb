#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <coho/packed.hpp>

#include "tokenizer/text_tokenizer.hpp"

namespace coho::trainer {

/// Begin, end and added tokens of a model.
struct special_token_ids {
  token begin = -1;         ///< precedes every text; −1: none does
  token begin_piece = -1;   ///< the tokenizer's begin token, whether or not texts have it; −1: none
  token end = -1;           ///< the end token that `sft` trains, and that follows an earlier reply of a conversation
  std::vector<token> ends;  ///< a sampled response ends at any of these; `end` is the first
  std::vector<added_token> added;
  std::vector<std::string> contradictions;  ///< between files, each with the resolution
};

/// Decides from the files in a checkpoint's folder, in decreasing precedence:
///
///  - the begin token before a text: tokenizer.json's template if there is a tokenizer.json; none if `bos_token` is
///    null; `add_bos_token` of tokenizer_config.json; otherwise whether the tokenizer has one. Which token it is: the
///    template's, `bos_token` of tokenizer_config.json or special_tokens_map.json, tokenizer.model's bos_id.
///  - the tokens at which a response ends: `eos_token_id` of generation_config.json, `model_ends` (that of
///    config.json), the tokenizer's end token. The tokenizer's begin and unknown tokens are never among them.
///  - the end token that is trained: `eos_token` of tokenizer_config.json or special_tokens_map.json; tokenizer.model's
///    eos_id if it is among the ends; otherwise the first of the ends. It is always one of the ends.
///
/// `vocabulary`: rows of the model's embedding; added tokens beyond it cannot be used. Throws `file_error` if no file
/// names an end token, and for ids of generation_config.json outside the vocabulary.
special_token_ids read_special_token_ids(const std::filesystem::path& directory, const text_tokenizer& tokenizer,
                                         std::int64_t vocabulary, const std::vector<std::int64_t>& model_ends);

}  // namespace coho::trainer
