#pragma once

#include <string>
#include <vector>

#include "models/prompter.hpp"
#include "settings/prompt_settings.hpp"

namespace coho::trainer {

/// The forms of `read_sft_prompts` with a model's tokenizer, in their order.
std::vector<prompter> make_prompters(const std::vector<prompt_settings>& forms, const loaded_model& model);

/// A line about prompts that any of the forms cut; empty if none was.
std::string cut_note(const std::vector<prompter>& prompts, const std::vector<prompt_settings>& forms, std::size_t of);

}  // namespace coho::trainer
