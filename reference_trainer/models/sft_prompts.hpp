#pragma once

#include <string>
#include <vector>

#include "models/prompter.hpp"
#include "settings/prompt_settings.hpp"

namespace coho::trainer {

/// A prompter per form of `read_sft_prompts`, in their order, with the model's tokenizer.
std::vector<prompter> make_prompters(const std::vector<prompt_settings>& forms, const loaded_model& model);

/// A line for the log on how many of the examples' prompts were cut, in any form; empty if none was.
std::string sft_cut_note(const std::vector<prompter>& prompts, const std::vector<prompt_settings>& forms,
                         std::size_t examples);

}  // namespace coho::trainer
