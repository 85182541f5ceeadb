#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <coho/packed.hpp>

#include "tokenizer_json/added_tokens.hpp"

namespace coho::trainer {

/// The largest tokenizer.json that is read, in bytes.
inline constexpr std::size_t tokenizer_json_limit = std::size_t{256} << 20;
/// What mends a tokenizer.json that is wrong, where an error has no better advice.
inline constexpr std::string_view tokenizer_json_mend = "put the model's own tokenizer.json there";

/// Which added tokens a text may contain. `plain`: not the special ones, whose spellings are ordinary text, as of a
/// text that a user wrote. `marked`: all of them.
enum class token_text : std::uint8_t { plain, marked };

/// A tokenizer.json whose model is BPE: added tokens are split off, the text between them is normalised, split into
/// words and merged. Tokens and texts are those of the `tokenizers` library. Copies share the vocabulary; all members
/// are const and may be called from several threads.
///
///     const auto pipeline = token_pipeline::from_file("smollm2/tokenizer.json");
///     pipeline.encode("Hello world", token_text::plain);  // {19556, 905}
class token_pipeline {
 public:
  /// Throws `file_error` with the place in the file for what is malformed, contradictory or not supported.
  static token_pipeline from_file(const std::filesystem::path& path);
  /// From the text of a tokenizer.json; `path` is used in messages only.
  static token_pipeline from_text(std::string_view json, std::string_view path = "tokenizer.json");

  /// This tokenizer with other added tokens. Those whose id is that of a piece must have its text.
  token_pipeline with_added_tokens(std::vector<added_token> added) const;

  /// The tokens of a text, without those of the post-processor. Bytes that are not UTF-8 are read as U+FFFD.
  std::vector<token> encode(std::string_view text, token_text form) const;
  /// The text of whole tokens, without special ones; ids without a token have none.
  std::string decode(std::span<const token> tokens) const;
  /// The bytes that a token adds in the middle of a text, special or not.
  std::string bytes(token id) const;

  /// What the post-processor puts before a text.
  const std::vector<token>& begin_tokens() const noexcept;
  /// In increasing order of ids.
  const std::vector<added_token>& added() const noexcept;
  /// Null if the token is not an added one.
  const added_token* added(token id) const noexcept;
  /// An added token's text or a piece of the vocabulary, or empty.
  std::string_view piece(token id) const noexcept;
  /// −1 if there is no such token.
  token find(std::string_view piece) const noexcept;
  /// The unknown token, −1: none.
  token unknown() const noexcept;
  /// One more than the largest id, without and with added tokens.
  std::size_t model_size() const noexcept;
  std::size_t size() const noexcept;

 private:
  struct parts;
  struct added_parts;
  /// The piece as the decoder reads it: of a normalised added token the form in which it is found.
  std::string decoded_piece(token id) const;

  std::shared_ptr<const parts> parts_;
  std::shared_ptr<const added_parts> added_;
};

}  // namespace coho::trainer
