#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "files/json_part.hpp"
#include "unicode/text_pattern.hpp"

namespace coho::trainer {

/// The words of a text while it is split: views of the text, or of texts made from it.
struct word_list {
  std::vector<std::string_view> words;
  /// Whether the first word is where the input begins, rather than what follows an added token or removed space.
  bool at_beginning = true;

  /// Stores a text that words are views of, as long as this list lives; it does not move.
  std::string& store(std::string text) { return stored_.emplace_back(std::move(text)); }

  // Room that steps use again.
  std::vector<std::string_view> next;
  std::vector<pattern_part> parts;

 private:
  std::deque<std::string> stored_;
};

/// The pre-tokenizer of a tokenizer.json: Split, ByteLevel, Digits, Metaspace, Punctuation, Whitespace,
/// WhitespaceSplit, and a Sequence of these. It splits a normalised text into the words in which tokens are merged, and
/// spells them as the vocabulary does.
class word_splitter {
 public:
  /// Leaves a text as one word.
  word_splitter() = default;
  /// Throws `file_error` naming what is not supported, or is missing in the file.
  explicit word_splitter(const json_part& part);

  /// Replaces `list.words`; words without text are dropped.
  void operator()(word_list& list) const;

 private:
  /// Adds the pre-tokenizer that `part` describes, or those of a Sequence.
  void add_step(const json_part& part);
  /// GPT-2's: splits by its expression and spells bytes as characters.
  void add_byte_level(const json_part& part);
  /// sentencepiece's: a space becomes "▁", which begins a word.
  void add_metaspace(const json_part& part);

  std::vector<std::function<void(word_list&)>> steps_;
};

}  // namespace coho::trainer
