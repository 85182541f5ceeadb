#include "settings/reward_prompt_settings.hpp"

#include <string>

#include "config/read_options.hpp"
#include "files/data_files.hpp"
#include "resources/template_file.hpp"

namespace coho::trainer {

reward_lengths reward_lengths::of(std::string_view stage) {
  if (stage == "preference_pretraining") return {.query_tokens = 256, .response_tokens = 640};
  if (stage == "reward") return {.query_tokens = 128, .response_tokens = 768};
  return {};
}

reward_prompt_settings read_reward_prompt(const config& options, std::string_view stage) {
  const auto read = read_section<reward_prompt_options>(
      options.section("reward_prompt"), {.template_name = shipped_file("prompts/reward.txt"),
                                         .plain_template = shipped_file("prompts/preference_pretraining.txt")});
  reward_prompt_settings out;
  out.template_path = find_prompt_file(read.template_name);
  out.plain_path = find_prompt_file(read.plain_template);
  std::error_code none;
  if (std::filesystem::exists(out.template_path, none))
    out.wording = load_template(template_kind::reward, out.template_path);
  if (std::filesystem::exists(out.plain_path, none))
    out.plain = load_template(template_kind::preference_pretraining, out.plain_path);
  reward_lengths lengths = reward_lengths::of(stage);
  lengths.query_tokens = read.query_tokens.value_or(lengths.query_tokens);
  lengths.response_tokens = read.response_tokens.value_or(lengths.response_tokens);
  read_options(options.section(std::string(stage) + ".reward_prompt"), lengths);
  out.limits.query_tokens = lengths.query_tokens;
  out.limits.response_tokens = lengths.response_tokens;
  out.limits.scoring.tokens = read.scoring_tokens;
  return out;
}

}  // namespace coho::trainer
