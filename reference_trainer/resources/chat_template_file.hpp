#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "chat_template/chat_template.hpp"

namespace coho::trainer {

/// The chat template that a model's folder brings, with the variables that transformers takes from the folder.
struct model_chat_template {
  chat_template form;
  nlohmann::ordered_json special_tokens;  ///< the texts of `bos_token`, `eos_token` and the others, by these names
};

/// Reads the template of a name: chat_template.jinja (the one named "default"), NAME.jinja in the folder
/// additional_chat_templates, or `chat_template` of tokenizer_config.json, a text or a list of them with names; files
/// of their own come first, as in transformers. Nothing where the folder brings no template at all. Throws `file_error`
/// where it brings others, naming them, and for files that are not of this form; `template_error` for a template that
/// cannot be read.
std::optional<model_chat_template> find_chat_template(const std::filesystem::path& directory,
                                                      const std::string& name = "default");

/// The same; `file_error` where the folder brings no template.
model_chat_template require_chat_template(const std::filesystem::path& directory, const std::string& name = "default");

}  // namespace coho::trainer
