#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <coho/packed.hpp>

namespace coho::trainer {

/// A token that texts of users never become: by its text in a chat format only.
struct special_token {
  std::string text;
  token id = -1;
};

/// A token that files next to a tokenizer.model add to it, or say more about.
struct added_token {
  std::string text;
  token id = -1;
  bool special = false;  ///< has no text when decoded, as a control piece
};

/// LLaMA's and Mistral's tokenizer: a sentencepiece model (BPE or unigram). Satisfies `coho::tokenizer`. Copies share
/// the model; all members are const and may be called from several threads.
///
///     const auto tokenizer = coho::trainer::sentencepiece_tokenizer::from_file("llama-2-7b");
///     tokenizer.encode("Hello world");  // {15043, 3186}
class sentencepiece_tokenizer {
 public:
  /// A `tokenizer.model`, or a directory that holds one. The file is checked before the sentencepiece library sees it.
  /// Throws `file_error`: naming the piece or field that is wrong, or saying that the file is a tokenizer of another
  /// kind.
  static sentencepiece_tokenizer from_file(const std::filesystem::path& path);
  /// From the bytes of a `tokenizer.model`; `path` is used in messages only.
  static sentencepiece_tokenizer from_bytes(std::string bytes, std::string_view path = "tokenizer.model");
  /// This tokenizer with tokens of its own beyond (or among) the pieces, and with the begin token that stands before
  /// texts (−1: none) and the end token. Shares the model.
  sentencepiece_tokenizer with_tokens(const std::vector<added_token>& added, token bos, token eos) const;

  /// Tokens of a text, without begin and end tokens. The names of control pieces ("</s>") within a text are plain text.
  std::vector<token> encode(std::string_view text) const;

  /// Tokens that `continuation` takes after `prefix`: encode(prefix + continuation) less what it has in common with
  /// encode(prefix) at the front. Where a merge crosses the border the result begins with the merged token, and the
  /// tokens before it are shorter than encode(prefix) by those that the merge took.
  std::vector<token> encode_in_context(std::string_view prefix, std::string_view continuation) const;

  /// Text of whole tokens: the space that the first word was given is taken off; control tokens have no text; bytes
  /// that form no character become U+FFFD. decode(encode(x)) == x for well-formed x when the model normalises nothing.
  std::string decode(std::span<const token> tokens) const;
  /// As `decode`, keeping the leading space: the text of a continuation. decode(a b) == decode(a) + decode_piecewise(b)
  /// as long as no character is split between a and b and a has any text.
  std::string decode_piecewise(std::span<const token> tokens) const;
  /// The bytes that a token adds to a text, which may be a part of a character: concatenated, they are what
  /// `decode_piecewise` repairs. Empty for control tokens.
  std::string_view token_bytes(token id) const;
  /// The token's text on its own, for people to read: the piece's name for control tokens.
  std::string text_of(token id) const;

  token bos() const noexcept;  ///< what stands before a text; −1: nothing
  token eos() const noexcept;
  token pad() const noexcept;  ///< −1 when the model has none, as for bos and eos
  /// What a sequence begins with: the begin token, or nothing.
  std::vector<token> begin_tokens() const;
  /// Control pieces and added tokens. `encode` never gives them; a chat format's text that spells one is that token.
  const std::vector<special_token>& special_tokens() const noexcept;
  token unk() const noexcept;
  /// One more than the largest id: of a piece, or of an added token.
  std::size_t size() const noexcept;
  /// The piece as the model writes it ("▁Hello", "<0x0A>"), an added token's text, or nothing for an id in a gap before
  /// added tokens. Throws `argument_error` for ids out of range.
  std::string_view piece(token id) const;
  /// The id of a piece, or unk().
  token id_of(std::string_view piece) const;
  /// Whether the token is a control piece (<s>, </s>, …), an added token that is special, or no token at all.
  bool is_control(token id) const;
  /// The model's file, byte for byte: what to write beside a checkpoint.
  const std::string& serialized() const noexcept;

 private:
  struct state;
  struct extension;
  sentencepiece_tokenizer(std::shared_ptr<const state> state, std::shared_ptr<const extension> more)
      : state_(std::move(state)), more_(std::move(more)) {}
  void check(token id) const;
  /// The added token of an id beyond the pieces, or nothing for a piece.
  const added_token* added(token id) const;

  std::shared_ptr<const state> state_;
  std::shared_ptr<const extension> more_;
};

}  // namespace coho::trainer
