#include "settings/reward_prompt_settings.hpp"

#include <array>
#include <string>

#include "files/data_files.hpp"
#include "resources/template_file.hpp"

namespace coho::trainer {
namespace {

// Of the released scripts; a stage not listed here reads everything.
struct stage_limits {
  std::string_view stage;
  std::size_t query_tokens, response_tokens;
};
constexpr std::array<stage_limits, 2> released{{{"preference_pretraining", 256, 640}, {"reward", 128, 768}}};

// A stage's own value, else the shared section's, else the stage's default.
std::size_t limit_of(const config& options, std::string_view stage, const std::string& name, std::size_t fallback) {
  // An unset shared value is not written: a resolved recipe would hand it to the other stages.
  const auto shared = options.find<std::size_t>("reward_prompt." + name);
  return options.get<std::size_t>(std::string(stage) + ".reward_prompt." + name, shared.value_or(fallback));
}

}  // namespace

reward_prompt_settings read_reward_prompt(const config& options, std::string_view stage) {
  const config section = options.section("reward_prompt");
  reward_prompt_settings out;
  out.template_path = prompt_file(section.get<std::filesystem::path>("template", shipped("prompts/reward.txt")));
  out.plain_path =
      prompt_file(section.get<std::filesystem::path>("plain_template", shipped("prompts/preference_pretraining.txt")));
  std::error_code none;
  if (std::filesystem::exists(out.template_path, none))
    out.wording = load_template(template_kind::reward, out.template_path);
  if (std::filesystem::exists(out.plain_path, none))
    out.plain = load_template(template_kind::preference_pretraining, out.plain_path);
  stage_limits limits{stage, 0, 0};
  for (const auto& one : released)
    if (one.stage == stage) limits = one;
  out.limits.query_tokens = limit_of(options, stage, "query_tokens", limits.query_tokens);
  out.limits.response_tokens = limit_of(options, stage, "response_tokens", limits.response_tokens);
  out.limits.scoring.tokens = section.get<std::size_t>("scoring_tokens", 8192);
  return out;
}

}  // namespace coho::trainer
