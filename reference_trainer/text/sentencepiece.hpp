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

  token bos() const noexcept;
  token eos() const noexcept;
  token pad() const noexcept;  ///< −1 when the model has none, as for bos and eos
  token unk() const noexcept;
  std::size_t size() const noexcept;
  /// The piece as the model writes it ("▁Hello", "<0x0A>"). Throws `argument_error` for ids out of range.
  std::string_view piece(token id) const;
  /// The id of a piece, or unk().
  token id_of(std::string_view piece) const;
  /// Whether the token is a control piece (<s>, </s>, …).
  bool is_control(token id) const;
  /// The model's file, byte for byte: what to write beside a checkpoint.
  const std::string& serialized() const noexcept;

 private:
  struct state;
  explicit sentencepiece_tokenizer(std::shared_ptr<const state> state) : state_(std::move(state)) {}
  void check(token id) const;

  std::shared_ptr<const state> state_;
};

}  // namespace coho::trainer
