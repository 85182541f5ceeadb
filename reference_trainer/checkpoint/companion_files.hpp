#pragma once

#include <filesystem>

namespace coho::trainer {

/// Copies the files of a checkpoint other than weights and config.json, so that transformers and coho read the written
/// checkpoint with the base's tokens and end tokens: tokenizer.model, tokenizer.json, tokenizer_config.json,
/// special_tokens_map.json, added_tokens.json, chat_template.jinja, named templates, generation_config.json.
/// Files that `from` does not have are removed from `to`, where an earlier run may have left another base's. Does
/// nothing if both are the same folder.
void copy_companion_files(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace coho::trainer
