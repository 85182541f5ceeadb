#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <coho/concepts.hpp>

#include "adapters/adapter_bank.hpp"
#include "cli/options.hpp"
#include "text/sentencepiece.hpp"

namespace coho::trainer {

/// A base model with its tokenizer, ready for roles.
struct loaded_model {
  std::filesystem::path directory;
  std::shared_ptr<const sentencepiece_tokenizer> tokenizer;
  std::unique_ptr<adapter_bank> bank;

  /// End tokens: the config's, or the tokenizer's.
  std::vector<token> end_tokens() const;
  /// The exact bytes of every token.
  std::vector<std::string> token_texts() const;
  /// Control and unknown tokens that are no end token: never to be sampled.
  std::vector<token> never_sampled() const;
};

/// Loads a Hugging Face directory and the tokenizer beside it. `type`: the base's compute type, fp32 or bf16.
/// Throws file_error.
loaded_model load_model(const std::filesystem::path& directory, at::ScalarType type = at::kFloat);

/// As above from the keys `model.path` and `model.dtype` ("float32" or "bfloat16").
loaded_model load_model(const config& options);

/// Adds a role from files: a PEFT directory (adapter_config.json), a Hugging Face directory (weights of its own), or, with an
/// empty path, the base itself. A scalar head stored with it comes along.
void load_role(loaded_model& model, const std::string& role, const std::filesystem::path& path);

/// Makes a role to be trained, starting from `from` (as load_role; empty: the base), as the section "adapter" says: `adapter.kind`
/// "lora" (with rank, alpha, rslora, targets) or "full". A role that starts from an adapter goes on with that adapter.
void start_role(loaded_model& model, const std::string& role, const std::filesystem::path& from, const config& options, rng random);

/// Writes a role as load_role reads it: PEFT for an adapter, a Hugging Face checkpoint for own weights; the head beside it.
void save_role(loaded_model& model, const std::string& role, const std::filesystem::path& directory);

}  // namespace coho::trainer
