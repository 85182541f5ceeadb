#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/text_tokenizer.hpp"

namespace coho::trainer {

/// LLaMA's and Mistral's tokenizer: a sentencepiece model (BPE or unigram). Copies share the model.
///
///     const auto tokenizer = coho::trainer::sentencepiece_tokenizer::from_file("llama-2-7b");
///     tokenizer.encode("Hello world");  // {15043, 3186}
class sentencepiece_tokenizer : public text_tokenizer {
 public:
  /// Reads a `tokenizer.model`, or a directory that contains one. The file is checked before the sentencepiece library
  /// sees it. Throws `file_error` naming the invalid piece or field, or saying that the file is a tokenizer of another
  /// kind.
  static sentencepiece_tokenizer from_file(const std::filesystem::path& path);
  /// From the bytes of a `tokenizer.model`; `path` is used in messages only.
  static sentencepiece_tokenizer from_bytes(std::string bytes, std::string_view path = "tokenizer.model");
  /// As `extended`. Added tokens may be beyond or among the pieces; those that repeat a piece change nothing. Throws
  /// `argument_error` for a token without text or with an id below 0.
  sentencepiece_tokenizer with_tokens(const std::vector<added_token>& added, token bos, token eos) const;
  std::shared_ptr<const text_tokenizer> extended(const std::vector<added_token>& added, token bos,
                                                 token eos) const override;

  std::vector<token> encode(std::string_view text) const override;
  std::string decode(std::span<const token> tokens) const override;
  std::string_view token_bytes(token id) const override;

  token bos() const noexcept override;
  token eos() const noexcept override;
  token pad() const noexcept override;
  token unk() const noexcept override;
  const std::vector<special_token>& special_tokens() const noexcept override;
  std::size_t size() const noexcept override;
  std::size_t model_size() const noexcept override;
  std::string_view piece(token id) const override;
  token piece_to_id(std::string_view piece) const override;
  bool is_control(token id) const override;
  std::string_view file_name() const noexcept override { return "tokenizer.model"; }
  /// The model file, byte for byte, to be written next to a checkpoint.
  const std::string& serialized() const noexcept;

 private:
  struct state;
  struct extension;
  sentencepiece_tokenizer(std::shared_ptr<const state> state, std::shared_ptr<const extension> more)
      : state_(std::move(state)), more_(std::move(more)) {}
  /// The added token of an id beyond the pieces, or nothing for a piece.
  const added_token* added(token id) const;

  std::shared_ptr<const state> state_;
  std::shared_ptr<const extension> more_;
};

}  // namespace coho::trainer
