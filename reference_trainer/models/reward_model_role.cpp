#include "models/reward_model_role.hpp"

#include <string>
#include <utility>

#include "distributed/process_group.hpp"
#include "observe/format.hpp"
#include "resources/template_file.hpp"

namespace coho::trainer {

reward_role make_reward_role(loaded_model& model, const std::string& role, const config& options,
                             std::string_view stage) {
  return make_reward_role(model, role, read_reward_prompt(options, stage));
}

// A missing template is loaded again for its error message.
reward_wording load_reward_wording(const reward_prompt_settings& read) {
  return {
      .guided = reward_prompt(read.wording ? *read.wording : load_template(template_kind::reward, read.template_path)),
      .plain = reward_prompt(read.plain ? *read.plain
                                        : load_template(template_kind::preference_pretraining, read.plain_path))};
}

reward_role make_reward_role(loaded_model& model, const std::string& role, const reward_prompt_settings& read) {
  auto wording = load_reward_wording(read);
  return reward_role(*model.bank, role, *model.tokenizer, std::move(wording.guided), read.limits,
                     std::move(wording.plain));
}

bool log_cuts(const reward_role& reward, std::string_view stage, stage_context& context) {
  const auto& limits = reward.options();
  if (limits.query_tokens == 0 && limits.response_tokens == 0) return true;
  const auto& mine = reward.cuts();
  double counts[] = {static_cast<double>(mine.read), static_cast<double>(mine.queries),
                     static_cast<double>(mine.responses)};
  context.ranks->all_reduce_sum(std::span<double>(counts));
  if (counts[1] + counts[2] == 0) return false;
  const auto part = [&](double count, const char* what, const char* name, std::size_t limit) {
    return format_number(count, 0) + what + " (" + std::string(stage) + ".reward_prompt." + name + " = " +
           std::to_string(limit) + ")";
  };
  context.log("note: of " + format_number(counts[0], 0) + " texts that the reward model read, " +
              part(counts[1], " lost the beginning of the query", "query_tokens", limits.query_tokens) + " and " +
              part(counts[2], " the end of the response", "response_tokens", limits.response_tokens));
  return true;
}

}  // namespace coho::trainer
