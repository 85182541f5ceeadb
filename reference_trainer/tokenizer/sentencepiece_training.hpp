#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "tokenizer/sentencepiece.hpp"

namespace coho::trainer {

struct sentencepiece_training_options {
  enum class model { bpe, unigram };
  model kind = model::bpe;
  std::vector<std::string> user_symbols = {};  ///< pieces that are kept whole, whatever surrounds them
  bool byte_fallback = true;           ///< characters that were not learned become bytes, so that nothing is unknown
  double character_coverage = 0.9999;  ///< share of the text whose characters become pieces
  bool split_digits = true;            ///< each digit a piece of its own, as LLaMA has it
  bool pad = false;                    ///< a piece <pad> after <unk>, <s> and </s>
};

/// Learns a tokenizer with LLaMA's conventions (ids 0, 1, 2 are <unk>, <s>, </s>; no normalisation; spaces kept) and
/// writes it to `path` atomically. The result depends on the lines, the size and the options alone; nothing is printed.
/// Throws `option_error`, and `argument_error` with the library's reason when the text cannot give such a vocabulary.
sentencepiece_tokenizer train_sentencepiece(std::span<const std::string> lines, std::size_t vocabulary_size,
                                            const std::filesystem::path& path,
                                            const sentencepiece_training_options& options = {});

}  // namespace coho::trainer
