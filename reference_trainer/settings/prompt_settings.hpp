#pragma once

#include <cstddef>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <coho/prompt/chat_prompt.hpp>
#include <coho/prompt/template.hpp>

#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "resources/chat_template_file.hpp"

namespace coho::trainer {

/// The section `prompt` of a recipe.
struct prompt_options {
  std::string format = "plain";
  std::string chat_template = "default";
  std::string date = "2024-07-26";
  std::filesystem::path template_name{};
  std::vector<std::string> stop{};
  std::string system{};
  std::size_t max_tokens = 0;

  static void describe(auto&& visit, auto&... o) {
    visit(otherwise("model where the model brings a chat template; else plain", {"format", format_help}), o.format...);
    visit({"chat_template", "name of the model's chat template, with format = \"model\""}, o.chat_template...);
    visit({"date", "day that a chat template which asks for it is told, YYYY-MM-DD"}, o.date...);
    visit({"template",
           "template around a question: a path or a shipped name; the system text of a conversation "
           "replaces it"},
          o.template_name...);
    visit({"stop", "texts that end a response"}, o.stop...);
    visit({"system", "system text of a chat format, in place of a template"}, o.system...);
    visit(
        {"max_tokens",
         "longest prompt of training; a longer one loses its oldest exchanges, then the beginning of its question; 0: "
         "no limit",
         {},
         "tokens"},
        o.max_tokens...);
  }
  /// Throws config_error for a system text that the format or the template leaves no place for, for a template beside
  /// the model's own, and for keys that only that reads.
  void check_constraints(const config& section) const;

  static constexpr const char* format_help =
      "how a conversation is written: model (by the model's own chat template), plain, dromedary, llama2_chat, vicuna, "
      "mistral, or a chat format file";
};

/// The section `prompt` as prompter reads it, before a model is loaded.
struct prompt_settings {
  std::string format_name{};
  std::filesystem::path format_path{};                ///< of the user's own format
  std::optional<chat_format> chat{};                  ///< none in the plain format, and where format_path is not there
  std::optional<model_chat_template> own_template{};  ///< of the model, in the format "model"
  std::string chat_template_name = "default";
  std::tm date{};  ///< that a chat template is told
  std::filesystem::path template_path{};
  std::optional<prompt_template> wording{};  ///< of the template, if its file exists
  std::string system{};                      ///< of conversations that bring none
  std::vector<std::string> stop{};           ///< the format's stop strings and the section's
  /// Of training. Stages that only generate ask a question whole unless they have a limit of their own, and put it, and
  /// the name of its key, here.
  std::size_t max_tokens = 0;
  std::string max_tokens_key = "prompt.max_tokens";
};
/// The section `prompt`; files that are not there yet are left out. Without `prompt.format`, and without a template
/// that says otherwise, it is "model" where the folder `model.path` brings a chat template. Throws config_error,
/// option_error, file_error.
prompt_settings read_prompt_settings(const config& options);

/// The limit that a stage may have of its own, STAGE.max_prompt_tokens: part of its section, but read with the section
/// `prompt`.
template <bool trains>
struct prompt_limit {
  std::size_t max_prompt_tokens = 0;

  static void describe(auto&& visit, auto&... o) {
    visit(
        otherwise(trains ? "prompt.max_tokens" : "0",
                  {"max_prompt_tokens", "longest prompt; a longer one loses its beginning; 0: no limit", {}, "tokens"}),
        o.max_prompt_tokens...);
  }
};

/// The same with the stage's own limit, STAGE.max_prompt_tokens. Without it a stage that trains keeps to
/// prompt.max_tokens, and one that only generates does not cut questions.
prompt_settings read_prompt_settings(const config& options, const std::string& stage, bool trains);

/// The forms in which `sft` presents its prompts: one for each template of `sft.templates` (paths, or names of shipped
/// ones), otherwise the single one of the section `prompt`. Example i is laid out by form i mod n, as the released code
/// alternates its system texts, so that a policy does not depend on the wording of one. `sft.max_prompt_tokens` limits
/// each prompt (default: prompt.max_tokens). Throws config_error for a prompt.template that the templates replace.
std::vector<prompt_settings> read_sft_prompts(const config& options,
                                              const std::vector<std::filesystem::path>& templates);

/// A log line on prompts that were cut to the limit of these settings; empty when none was.
std::string prompt_cut_note(std::size_t cut, const prompt_settings& settings, std::size_t of);

}  // namespace coho::trainer
