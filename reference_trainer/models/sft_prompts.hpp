#pragma once

#include <filesystem>
#include <vector>

#include "config/config.hpp"
#include "models/prompter.hpp"
#include "settings/prompt_settings.hpp"

namespace coho::trainer {

/// The forms in which `sft` presents its prompts: one for each template of `sft.templates` (paths, or names of shipped
/// ones), otherwise the single one of the section `prompt`. Example i is laid out by form i mod n, as the released code
/// alternates its system texts, so that a policy does not depend on the wording of one. `sft.max_prompt_tokens` limits
/// each prompt (default: prompt.max_tokens).
std::vector<prompt_settings> read_sft_prompts(const config& options,
                                              const std::vector<std::filesystem::path>& templates);

/// A prompter per form, with the model's tokenizer.
std::vector<prompter> make_prompters(const std::vector<prompt_settings>& forms, const loaded_model& model);

/// A line for the log on how many of the examples' prompts were cut, in any form; empty if none was.
std::string cut_note(const std::vector<prompter>& prompts, const std::vector<prompt_settings>& forms,
                     std::size_t examples);

}  // namespace coho::trainer
