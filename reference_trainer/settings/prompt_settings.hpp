#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <coho/prompt/chat_prompt.hpp>
#include <coho/prompt/template.hpp>

#include "config/config.hpp"

namespace coho::trainer {

/// The section `prompt` as prompter reads it, before a model is loaded.
struct prompt_settings {
  std::string format_name;
  std::filesystem::path format_path;  ///< of the user's own format
  std::optional<chat_format> chat{};  ///< none in the plain format, and where format_path is not there
  std::filesystem::path template_path;
  std::optional<prompt_template> wording{};  ///< of the template, if its file exists
  std::string system{};                      ///< of conversations that bring none
  std::vector<std::string> stop;             ///< the format's stop strings and the section's
  /// Of training. Stages that only generate ask a question whole unless they have a limit of their own, and put it, and
  /// the name of its key, here.
  std::size_t max_tokens = 0;
  std::string max_tokens_key = "prompt.max_tokens";
};
prompt_settings read_prompt_settings(const config& options);
/// The same with the stage's own limit, STAGE.max_prompt_tokens. Without it a stage that trains keeps to
/// prompt.max_tokens, and one that only generates does not cut questions.
prompt_settings read_prompt_settings(const config& options, const std::string& stage, bool trains);

/// A log line on prompts that were cut to the limit of these settings; empty when none was.
std::string cut_note(std::size_t cut, const prompt_settings& settings, std::size_t of);

/// The help of the flag --format.
inline constexpr const char* format_help = "plain, dromedary, llama2_chat, vicuna, mistral, or a chat format file";

}  // namespace coho::trainer
