#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <coho/packed.hpp>

#include "tokenizer_json/added_tokens.hpp"

namespace coho::trainer {

/// A token that user texts never become; only its text in a chat format does.
struct special_token {
  std::string text;
  token id = -1;
};

/// The tokenizer of a model, whichever file it comes from. Satisfies `coho::tokenizer`. All members are const and may
/// be called from several threads.
///
///     const auto tokenizer = coho::trainer::load_tokenizer("llama-2-7b");
///     tokenizer->encode("Hello world");  // {15043, 3186}
class text_tokenizer {
 public:
  virtual ~text_tokenizer() = default;

  /// This tokenizer with the added tokens that the files of a folder name, with the begin token that precedes texts
  /// (−1: none) and the end token. Shares the vocabulary.
  virtual std::shared_ptr<const text_tokenizer> extended(const std::vector<added_token>& added, token bos,
                                                         token eos) const = 0;

  /// Tokens of a text, without begin and end tokens. The names of control tokens ("</s>") within a text are plain text.
  virtual std::vector<token> encode(std::string_view text) const = 0;
  /// The tokens of `continuation` after `prefix`: encode(prefix + continuation) without the common beginning with
  /// encode(prefix). If a merge crosses the border, the result begins with the merged token, and the tokens before it
  /// are encode(prefix) without the tokens that the merge consumed.
  std::vector<token> encode_in_context(std::string_view prefix, std::string_view continuation) const;

  /// The text of whole tokens: a space that the tokenizer adds before the first word is removed; control tokens have no
  /// text; invalid bytes become U+FFFD. decode(encode(x)) == x for well-formed x if the model does no normalisation.
  virtual std::string decode(std::span<const token> tokens) const = 0;
  /// Like `decode`, but keeps the leading space: the text of a continuation. decode(a b) == decode(a) +
  /// decode_piecewise(b) if no character is split between a and b and a has text.
  std::string decode_piecewise(std::span<const token> tokens) const;
  /// The bytes that a token adds to a text, possibly a part of a character: concatenated, they are the input that
  /// `decode_piecewise` repairs. Empty for control tokens.
  virtual std::string_view token_bytes(token id) const = 0;
  /// The token's text on its own, for display: the piece's name for control tokens.
  std::string display_text(token id) const;

  virtual token bos() const noexcept = 0;  ///< precedes every text; −1: none
  virtual token eos() const noexcept = 0;
  virtual token pad() const noexcept = 0;  ///< −1 if the model has none, as for bos and eos
  virtual token unk() const noexcept = 0;
  /// What a sequence begins with: the begin token, or nothing.
  std::vector<token> begin_tokens() const;
  /// Control pieces and added tokens. `encode` never returns them; a chat format's text that spells one becomes that
  /// token.
  virtual const std::vector<special_token>& special_tokens() const noexcept = 0;
  /// One more than the largest id: of a piece, or of an added token.
  virtual std::size_t size() const noexcept = 0;
  /// The same for the pieces only.
  virtual std::size_t model_size() const noexcept = 0;
  /// The piece as the model spells it ("▁Hello", "<0x0A>"), an added token's text, or nothing for an id in a gap.
  /// Throws `argument_error` for ids out of range.
  virtual std::string_view piece(token id) const = 0;
  /// The id of a piece, or unk().
  virtual token piece_to_id(std::string_view piece) const = 0;
  /// Whether the token is a control piece (<s>, </s>, …), a special added token, or not a token at all.
  virtual bool is_control(token id) const = 0;
  /// "tokenizer.model" or "tokenizer.json".
  virtual std::string_view file_name() const noexcept = 0;

 protected:
  text_tokenizer() = default;
  text_tokenizer(const text_tokenizer&) = default;
  text_tokenizer& operator=(const text_tokenizer&) = default;

  /// Throws `argument_error` for an id out of range.
  void check_id(token id) const;
};

/// Whether a folder has a tokenizer, or a file exists.
bool has_tokenizer(const std::filesystem::path& path);

/// Reads a `tokenizer.json`, a `tokenizer.model`, or that of a folder; of a folder with both, tokenizer.json, as
/// transformers does. Throws `file_error` naming what is invalid or not supported, or saying that there is none.
std::shared_ptr<const text_tokenizer> load_tokenizer(const std::filesystem::path& path);

}  // namespace coho::trainer
