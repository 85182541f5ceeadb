#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <coho/packed.hpp>

#include "files/json_part.hpp"
#include "tokenizer_json/vocabulary.hpp"

namespace coho::trainer {

/// Memory for merging, used for one word after another by one thread at a time.
struct merge_workspace {
  /// A token of the word so far, and its neighbours by index (−1: none).
  struct symbol {
    token id = 0;
    std::int32_t previous = -1, next = -1;
    bool merged = false;  ///< into the symbol before it
  };
  /// A merge of the symbol at `place` with the one after it.
  struct candidate {
    std::uint32_t rank = 0;
    std::int32_t place = 0;
    token result = 0;
  };
  std::vector<symbol> symbols;
  std::vector<candidate> queue;  ///< a heap: the lowest rank first, of equal ones the leftmost
};

/// Byte pair encoding: a word becomes its characters, and of all neighbours that the vocabulary can merge those that
/// were merged first in training are merged, until none are left.
///
/// Sennrich, Haddow, Birch: Neural Machine Translation of Rare Words with Subword Units, ACL 2016.
class byte_pair_model {
 public:
  /// From the member "model" of a tokenizer.json. Throws `file_error` naming what is not supported: another model,
  /// dropout; and a merge whose pieces are not in the vocabulary.
  explicit byte_pair_model(const json_part& part);

  /// Appends the tokens of a word.
  void encode(std::string_view word, std::vector<token>& out, merge_workspace& workspace) const;

  const vocabulary& pieces() const noexcept { return pieces_; }
  token unknown() const noexcept { return unknown_; }  ///< −1: none

 private:
  struct merge {
    std::uint32_t first = 0, second = 0;  // one more than the ids; 0: no merge here
    std::uint32_t rank = 0;
    token result = 0;
  };

  /// The list "merges", in order of rank; a first line "#version: …" is skipped.
  void read_merges(const json_part& part);
  /// Both pieces and the merged one must be in the vocabulary. `place`: of the list, for errors.
  void add_merge(const json_part& place, std::string_view first, std::string_view second, std::uint32_t rank);
  /// The merge of two neighbours, or null.
  const merge* find(token first, token second) const noexcept;

  /// The tokens of the characters of a word, in `workspace.symbols`.
  void split_characters(std::string_view word, merge_workspace& workspace) const;
  /// The token of a character, with the prefix unless it is the first of a word and the suffix if it is the last; −1 if
  /// the vocabulary has none.
  token character_token(std::string_view text, bool first, bool last) const;
  /// Appends the tokens "<0x00>" to "<0xFF>" of a text's bytes; false if there is no byte fallback, or a byte has none.
  bool append_byte_tokens(std::string_view text, merge_workspace& workspace) const;
  /// Merges neighbours in `workspace.symbols`, the lowest rank first, until none can be merged.
  void merge_all(merge_workspace& workspace) const;
  /// Queues the merge of the symbol at `place` with the one after it, if there is one.
  void queue_merge(merge_workspace& workspace, std::int32_t place) const;

  vocabulary pieces_;
  std::vector<merge> merges_;
  std::array<token, 0x250> small_characters_{};  // the tokens of the characters below U+0250
  std::array<token, 256> bytes_{};               // the tokens "<0x00>" to "<0xFF>"
  token unknown_ = -1;
  bool has_unknown_ = false, fuse_unknown_ = false, byte_fallback_ = false, whole_words_ = false;
  std::string prefix_, suffix_;  // of characters after the first, of the last character
};

}  // namespace coho::trainer
