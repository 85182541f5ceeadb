#pragma once

#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <coho/concepts.hpp>

#include "checkpoint/base_fingerprint.hpp"
#include "config/config.hpp"
#include "llama/adapter_bank.hpp"
#include "tokenizer/sentencepiece.hpp"
#include "tokenizer/special_token_ids.hpp"

namespace coho::trainer {

/// A base model with its tokenizer, ready for roles.
struct loaded_model {
  std::filesystem::path directory;
  std::shared_ptr<const sentencepiece_tokenizer> tokenizer;
  std::unique_ptr<adapter_bank> bank;
  /// Of a base that is a reward model in Hugging Face's form, else undefined: roles that have no head of their own take
  /// it.
  scalar_head base_head;
  special_token_ids ids{};
  /// Of the checkpoint as it is stored; of random weights none.
  std::optional<base_fingerprint> fingerprint{};

  /// What a sampled response ends at (see `read_special_token_ids`); the first of them is the end that `sft` teaches.
  const std::vector<token>& end_tokens() const { return ids.ends; }
  /// The exact bytes of every token.
  std::vector<std::string> token_texts() const;
  /// Never to be sampled: the begin, padding and unknown tokens that are not an end token, and ids without a token.
  std::vector<token> never_sampled() const;
};

/// Loads a Hugging Face directory and the tokenizer beside it, with what the files there say of special tokens: where
/// they contradict each other, one line of `notices` says what was done. Tensors are read, brought into `form` and let
/// go of one by one. Throws file_error.
loaded_model load_model(const std::filesystem::path& directory, const weight_form& form = {});

/// As above from the section "model" (see `model_settings`) and the key `device`. With `random_weights` a model of the
/// given shape whose weights are random, `model.path` being needed for the tokenizer.
loaded_model load_model(const config& options);

/// The key `device`: "cpu", "cuda" or "cuda:1". Throws config_error where this program or machine has no such device.
at::Device read_device(const config& options);

/// Throws config_error when a stage's output folder is one of the models that it reads: saving would take it apart.
void check_output(const std::filesystem::path& out, std::initializer_list<std::filesystem::path> inputs);

/// Adds a role from files: a PEFT directory (adapter_config.json), a Hugging Face directory (weights of its own), or,
/// with an empty path, the base itself. A scalar head stored with it comes along; so does that of a
/// ForSequenceClassification checkpoint. Throws file_error for what does not fit the base, naming file and field or
/// tensor: then there is no such role. An adapter that was trained over other weights than the base's, by the
/// fingerprint that it carries or, where it carries none, by the base's name in it, is loaded with a line of `notices`.
void load_role(loaded_model& model, const std::string& role, const std::filesystem::path& path);

/// Makes a role to be trained, starting from `from` (as load_role; empty: the base), as the section "adapter" says:
/// `adapter.kind` "lora" (with rank, alpha, rslora, targets) or "full". A role that starts from an adapter goes on with
/// that adapter.
void start_role(loaded_model& model, const std::string& role, const std::filesystem::path& from, const config& options,
                rng random);

/// Writes a role as load_role reads it: PEFT for an adapter, a Hugging Face checkpoint for own weights. A scalar head
/// goes where PEFT and transformers look for it (task type SEQ_CLS; a ForSequenceClassification checkpoint, which has
/// no language-model head), or, as theirs has no bias, into score_head.safetensors beside the weights where its bias is
/// not zero. The base's tokenizer and generation files go along; an adapter carries the fingerprint of its base.
void save_role(loaded_model& model, const std::string& role, const std::filesystem::path& directory);

}  // namespace coho::trainer
