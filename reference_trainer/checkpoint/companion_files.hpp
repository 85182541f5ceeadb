#pragma once

#include <filesystem>

namespace coho::trainer {

/// Copies what belongs to a checkpoint besides weights and config.json, so that transformers and coho read what is
/// written with the base's tokens and end tokens: tokenizer.model, tokenizer.json, tokenizer_config.json,
/// special_tokens_map.json, added_tokens.json, chat_template.jinja, the folder chat_templates, generation_config.json.
/// What `from` does not have is taken away from `to`, where an earlier run may have left another base's. Does nothing
/// where both are one folder.
void copy_companion_files(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace coho::trainer
