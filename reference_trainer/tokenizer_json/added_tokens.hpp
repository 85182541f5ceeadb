#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <coho/packed.hpp>

namespace coho::trainer {

/// A token that is found in a text before the text is split, or that files next to a tokenizer.model add to it.
struct added_token {
  std::string text;
  token id = -1;
  bool special = false;      ///< has no text when decoded, like a control piece
  bool single_word = false;  ///< found only between characters that are not part of words
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space after it
  bool normalized = false;   ///< found, as it reads after the normalizer, in the normalised text
};

/// A part of a text: an added token, or text between two.
struct token_part {
  std::string_view text;
  token id = -1;  ///< −1: text
};

/// Finds added tokens in texts: from left to right the longest at each place.
class added_token_finder {
 public:
  struct entry {
    std::string text;  ///< what is searched for
    const added_token* target = nullptr;
  };

  added_token_finder() = default;
  /// The tokens must outlive it. No two texts are equal, none is empty.
  explicit added_token_finder(std::vector<entry> entries);

  /// Appends the parts of a text, without empty ones. A special token that `special` does not allow is text.
  void split(std::string_view text, bool special, std::vector<token_part>& out) const;

 private:
  /// The longest entry that a text begins with, or null.
  const entry* longest_at_start(std::string_view text) const;

  std::vector<entry> entries_;
  std::array<bool, 256> first_bytes_{};
  // A trie: the node after a node and a byte; 0 is the root. `ends_`: one more than the entry that ends at a node.
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;
  std::vector<std::uint32_t> ends_{0};
};

}  // namespace coho::trainer
