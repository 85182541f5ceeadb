#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/text_tokenizer.hpp"
#include "tokenizer_json/token_pipeline.hpp"

namespace coho::trainer {

/// The tokenizer of Llama 3, Qwen and most newer models: a tokenizer.json with byte pair encoding. Copies share the
/// vocabulary.
///
///     const auto tokenizer = coho::trainer::json_tokenizer::from_file("smollm2/tokenizer.json");
///     tokenizer.encode("Hello world");  // {19556, 905}
class json_tokenizer : public text_tokenizer {
 public:
  /// Throws `file_error` with the place in the file for what is malformed, contradictory or not supported. Begin token:
  /// what the file's template puts before texts; no end token (special_token_ids.hpp finds both).
  static json_tokenizer from_file(const std::filesystem::path& path);
  /// From the text of a file; `path` is used in messages only.
  static json_tokenizer from_text(std::string_view json, std::string_view path = "tokenizer.json");

  /// Exactly the tokens in `added` beyond the pieces: others that the file adds are removed, further ones are added,
  /// except those whose id or text is taken or whose id is another piece of the file. `bos` and `eos` (−1: none) become
  /// special. Throws argument_error for a token without text or with an id below 0.
  json_tokenizer with_tokens(const std::vector<added_token>& added, token bos, token eos) const;
  std::shared_ptr<const text_tokenizer> extended(const std::vector<added_token>& added, token bos,
                                                 token eos) const override;

  /// Added tokens that are not special are found in every text, as by the `tokenizers` library; special ones are not.
  std::vector<token> encode(std::string_view text) const override;
  std::string decode(std::span<const token> tokens) const override;
  std::string_view token_bytes(token id) const override;

  token bos() const noexcept override { return bos_; }
  token eos() const noexcept override { return eos_; }
  token pad() const noexcept override { return -1; }
  token unk() const noexcept override { return pipeline_.unknown(); }
  /// All added tokens.
  const std::vector<special_token>& special_tokens() const noexcept override { return special_; }
  std::size_t size() const noexcept override { return pipeline_.size(); }
  std::size_t model_size() const noexcept override { return pipeline_.model_size(); }
  std::string_view piece(token id) const override;
  token piece_to_id(std::string_view piece) const override;
  bool is_control(token id) const override;
  std::string_view file_name() const noexcept override { return "tokenizer.json"; }

 private:
  /// Copies the texts of special tokens and the bytes of every id, which are asked for at each step of sampling.
  json_tokenizer(token_pipeline pipeline, token bos, token eos);
  /// With the begin token of the file's template and no end token.
  explicit json_tokenizer(token_pipeline pipeline);

  token_pipeline pipeline_;
  token bos_ = -1, eos_ = -1;
  std::vector<special_token> special_;
  std::shared_ptr<const std::vector<std::string>> bytes_;  ///< of each id
};

}  // namespace coho::trainer
