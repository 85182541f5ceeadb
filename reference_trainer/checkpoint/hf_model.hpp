#pragma once

#include <cstdint>
#include <filesystem>

#include "architecture/config.hpp"
#include "checkpoint/tensor_io.hpp"

namespace coho::trainer {

/// A checkpoint in Hugging Face form, of one of `model_types`.
struct hf_checkpoint {
  llama_config config;
  tensor_map tensors;               ///< by the checkpoint's names; zero-copy over the mapped files
  std::filesystem::path directory;  ///< the folder that it was read from, which also has the tokenizer
};

/// Reads `config.json` and `model.safetensors`, or the shards that `model.safetensors.index.json` names, from a
/// directory. Every weight of the configuration must be present with its shape and a floating type, and nothing else:
/// `rotary_emb.inv_freq` is dropped, as is the copy of a tied head. A tied matrix may be stored only under the head's
/// name; if head and embedding are stored with different values, the model is not tied, and a line of `notices` says
/// so. With `config.quantization` set, the linears may be NF4-packed (bytes, or bytes stored as numbers of another
/// type), along with their `.absmax`, `.quant_map`, …. Throws `file_error` naming file and tensor; pickled weights
/// (.bin, .pt, .pth) are never opened.
///
///     const auto checkpoint = coho::trainer::load_hf_checkpoint("llama-2-7b");
///     checkpoint.tensors.at("model.norm.weight").sizes();  // [4096]
hf_checkpoint load_hf_checkpoint(const std::filesystem::path& directory);

/// Checks names, shapes and types against a configuration. Drops the additional tensors that a checkpoint may have, and
/// views packed codes as bytes. `path` is used in messages only.
void check_hf_tensors(const llama_config& config, tensor_map& tensors, std::string_view path);

/// Writes a checkpoint that `load_hf_checkpoint` and Hugging Face read: the weights in one file, or in shards with an
/// index if they exceed `shard_bytes`; the tokenizer if one is given (a `tokenizer.model`, or the folder of the base,
/// whose tokenizer and generation files are all copied); and `config.json` last. Each file is written atomically.
/// Throws `file_error` when tensors do not match the configuration.
void save_hf_checkpoint(const std::filesystem::path& directory, llama_config config, tensor_map tensors,
                        const std::filesystem::path& tokenizer = {}, std::int64_t shard_bytes = 5'000'000'000);

}  // namespace coho::trainer
