#include "stages/reward_prompts.hpp"

#include "data/template_file.hpp"
#include "files/data_files.hpp"

namespace coho::trainer {

reward_prompt_settings read_reward_prompt(const config& options) {
  const config section = options.section("reward_prompt");
  reward_prompt_settings out;
  out.template_path = section.get<std::filesystem::path>("template", shipped("prompts/reward.txt"));
  out.plain_path = section.get<std::filesystem::path>("plain_template", shipped("prompts/preference_pretraining.txt"));
  std::error_code none;
  if (std::filesystem::exists(out.template_path, none))
    out.wording = load_template(template_kind::reward, out.template_path);
  if (std::filesystem::exists(out.plain_path, none))
    out.plain = load_template(template_kind::preference_pretraining, out.plain_path);
  out.limits.query_tokens = section.get<std::size_t>("query_tokens", 128);
  out.limits.response_tokens = section.get<std::size_t>("response_tokens", 768);
  out.limits.scoring.tokens = section.get<std::size_t>("scoring_tokens", 8192);
  return out;
}

reward_role make_reward_role(loaded_model& model, const std::string& role, const config& options) {
  const reward_prompt_settings read = read_reward_prompt(options);
  // A template that is not there is loaded once more for its error.
  const auto wording = read.wording ? *read.wording : load_template(template_kind::reward, read.template_path);
  const auto plain = read.plain ? *read.plain : load_template(template_kind::preference_pretraining, read.plain_path);
  return reward_role(*model.bank, role, *model.tokenizer, reward_prompt(wording), read.limits, reward_prompt(plain));
}

}  // namespace coho::trainer
