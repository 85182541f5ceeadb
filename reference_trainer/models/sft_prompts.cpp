#include "models/sft_prompts.hpp"

namespace coho::trainer {

std::vector<prompter> make_prompters(const std::vector<prompt_settings>& forms, const loaded_model& model) {
  std::vector<prompter> out;
  for (const auto& form : forms) out.emplace_back(form, model);
  return out;
}

std::string sft_cut_note(const std::vector<prompter>& prompts, const std::vector<prompt_settings>& forms,
                         std::size_t examples) {
  std::size_t cut = 0;
  for (const auto& one : prompts) cut += one.cut_count();
  return prompt_cut_note(cut, forms.front(), examples);
}

}  // namespace coho::trainer
