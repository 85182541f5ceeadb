#include "stages/reward_prompts.hpp"

#include "data/template_file.hpp"
#include "stages/data_files.hpp"

namespace coho::trainer {

reward_role make_reward_role(loaded_model& model, const std::string& role, const config& options) {
  const config section = options.section("reward_prompt");
  const auto path = section.get<std::filesystem::path>("template", shipped("prompts/reward.txt"));
  const auto plain = section.get<std::filesystem::path>("plain_template", shipped("prompts/preference_pretraining.txt"));
  reward_role_options limits;
  limits.query_tokens = section.get<std::size_t>("query_tokens", 128);
  limits.response_tokens = section.get<std::size_t>("response_tokens", 768);
  limits.scoring.tokens = section.get<std::size_t>("scoring_tokens", 8192);
  return reward_role(*model.bank, role, *model.tokenizer, reward_prompt(load_template(template_kind::reward, path)), limits,
                     reward_prompt(load_template(template_kind::preference_pretraining, plain)));
}

}  // namespace coho::trainer
