#include "commands/commands.hpp"

namespace coho::trainer {

std::vector<subcommand> stage_commands() {
  return {make_prompts_command(), make_self_align_command(), make_sft_command(),      make_sample_command(),
          make_judge_command(),   make_aggregate_command(),  make_reward_command(),   make_dpo_command(),
          make_ppo_command(),     make_generate_command(),   make_chat_command(),     make_eval_command(),
          make_data_command(),    make_principles_command(), make_quantize_command(), make_merge_command(),
          make_report_command()};
}

}  // namespace coho::trainer
