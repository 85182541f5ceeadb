#include "models/sft_prompts.hpp"

#include <filesystem>
#include <utility>

#include "files/data_files.hpp"
#include "resources/template_file.hpp"

namespace coho::trainer {

std::vector<prompt_settings> read_sft_prompts(const config& options,
                                              const std::vector<std::filesystem::path>& templates) {
  const prompt_settings base = read_prompt_settings(options, "sft", true);
  if (templates.empty()) return {base};
  options.check(base.system.empty(), "sft.templates", "unset if prompt.system gives the system text");
  std::vector<prompt_settings> out;
  for (const auto& name : templates) {
    options.check(!name.empty(), "sft.templates", "templates by path or shipped name, none empty");
    prompt_settings form = base;
    form.template_path = prompt_file(name);
    form.wording.reset();
    if (!not_there(form.template_path)) form.wording = load_template(template_kind::inference, form.template_path);
    out.push_back(std::move(form));
  }
  return out;
}

std::vector<prompter> make_prompters(const std::vector<prompt_settings>& forms, const loaded_model& model) {
  std::vector<prompter> out;
  for (const auto& form : forms) out.emplace_back(form, model);
  return out;
}

std::string cut_note(const std::vector<prompter>& prompts, const std::vector<prompt_settings>& forms,
                     std::size_t examples) {
  std::size_t cut = 0;
  for (const auto& one : prompts) cut += one.cut_count();
  return cut_note(cut, forms.front(), examples);
}

}  // namespace coho::trainer
