#include <coho/error.hpp>
#include <coho/version.hpp>

#include "commands/commands.hpp"
#include "commands/validate.hpp"
#include "demo/demo.hpp"
#include "files/data_files.hpp"
#include "program/application.hpp"

int main(int argc, char** argv) {
  using namespace coho::trainer;
  application program("coho", "Self-alignment with principle-following reward models: every stage of SALMON.",
                      coho::version);
  try {
    program.add_recipe_folder(shipped("recipes"));
  } catch (const coho::error&) {
    // Recipes given by their path still work.
  }
  program.add(make_prompts_command());
  program.add(make_self_align_command());
  program.add(make_sft_command());
  program.add(make_sample_command());
  program.add(make_judge_command());
  program.add(make_aggregate_command());
  program.add(make_reward_command());
  program.add(make_ppo_command());
  program.add(make_generate_command());
  program.add(make_chat_command());
  program.add(make_eval_command());
  program.add(make_principles_command());
  program.add(make_quantize_command());
  program.add(make_merge_command());
  program.add(make_report_command());
  program.add(make_options_command());
  program.add(make_demo_command());
  program.add(make_demo_base_command());
  program.add(make_validate_command(program.subcommands()));
  return program.run(argc, argv);
}
