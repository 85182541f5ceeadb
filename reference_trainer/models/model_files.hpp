#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <coho/concepts.hpp>

#include "checkpoint/base_fingerprint.hpp"
#include "llama/adapter_bank.hpp"
#include "run/stage_context.hpp"
#include "settings/model_settings.hpp"
#include "tokenizer/special_token_ids.hpp"
#include "tokenizer/text_tokenizer.hpp"

namespace coho::trainer {

/// A base model with its tokenizer, ready for roles.
struct loaded_model {
  std::filesystem::path directory;
  std::shared_ptr<const text_tokenizer> tokenizer;
  std::unique_ptr<adapter_bank> bank;
  /// The head of a base that is a reward model in Hugging Face's form, otherwise undefined: roles without a head take
  /// it.
  scalar_head base_head;
  special_token_ids ids{};
  /// Of the checkpoint as stored; none for random weights.
  std::optional<base_fingerprint> fingerprint{};

  /// The tokens that end a sampled response (see `read_special_token_ids`); the first is the end that `sft` trains.
  const std::vector<token>& end_tokens() const { return ids.ends; }
  /// The exact bytes of every token.
  std::vector<std::string> token_texts() const;
  /// Tokens that must never be sampled: the begin, padding and unknown tokens that are not an end token, and ids
  /// without a token.
  std::vector<token> banned_tokens() const;
};

/// Loads a Hugging Face directory and the tokenizer in it, with what the files there say about special tokens: if they
/// contradict each other, one line of `notices` reports the resolution. Tensors are read, converted to `form` and
/// released one by one. Throws file_error.
loaded_model load_model(const std::filesystem::path& directory, const weight_form& form = {});

/// Only the tokenizer of a folder and what its files say about special tokens, without a bank: enough to lay out
/// prompts. The folder may hold a tokenizer and nothing else. Throws file_error.
loaded_model load_model_tokens(const std::filesystem::path& directory);

/// The same from the section "model". With `random_weights` a model of the given shape with random weights;
/// `model.path` is then needed for the tokenizer.
loaded_model load_model(const model_settings& settings, at::Device device, std::uint64_t seed);
/// The same with device and seed of a run. Throws config_error if this program or machine has no such device.
loaded_model load_model(const model_settings& settings, const stage_context& context);

/// Adds a role from files: a PEFT directory (adapter_config.json), a Hugging Face directory (separate weights), or,
/// with an empty path, the base itself. A scalar head stored with it is loaded too, as is that of a
/// ForSequenceClassification checkpoint. Throws file_error for files that do not match the base, naming file and field
/// or tensor; then the role does not exist. An adapter trained over weights other than the base's, according to its
/// fingerprint or, without one, to the base's name in it, is loaded with a line of `notices`.
void load_role(loaded_model& model, const std::string& role, const std::filesystem::path& path);

/// Creates a role for training, starting from `from` (as in load_role; empty: the base), according to the section
/// "adapter": `adapter.kind` "lora" (with rank, alpha, rslora, targets) or "full". A role that starts from an adapter
/// continues with that adapter.
void start_role(loaded_model& model, const std::string& role, const std::filesystem::path& from,
                const adapter_settings& settings, rng random);

/// Writes a role in the form that load_role reads: PEFT for an adapter, a Hugging Face checkpoint for separate weights.
/// A scalar head goes where PEFT and transformers look for it (task type SEQ_CLS; a ForSequenceClassification
/// checkpoint, which has no language-model head) or, if its bias is not zero, which theirs cannot have, into
/// score_head.safetensors next to the weights. The base's tokenizer and generation files are copied; an adapter gets
/// the fingerprint of its base.
void save_role(loaded_model& model, const std::string& role, const std::filesystem::path& directory);

}  // namespace coho::trainer
