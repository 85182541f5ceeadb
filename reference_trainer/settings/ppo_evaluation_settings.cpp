#include "settings/ppo_evaluation_settings.hpp"

#include "config/read_options.hpp"

namespace coho::trainer {

void ppo_evaluation_settings::check_constraints(const config& section) const {
  check_columns(section, columns, prompt_columns);
}

ppo_evaluation_settings read_ppo_evaluation_settings(const config& section, const generation_options& training,
                                                     const column_choice& columns) {
  const config own = section.section("evaluation");
  auto read = read_section<ppo_evaluation_settings>(
      own, {.columns = columns, .temperature = training.temperature, .max_new_tokens = training.max_new_tokens});
  const bool others = !section.keys("evaluation").empty();
  section.check(!others || own.has("prompts"), "evaluation.prompts",
                "given where the section has other keys: \"\" for no evaluation");
  return read;
}

}  // namespace coho::trainer
