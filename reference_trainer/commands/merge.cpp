#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "evaluation/reward_statistics.hpp"
#include "models/model_files.hpp"
#include "run/training_run.hpp"
#include "settings/model_settings.hpp"

namespace coho::trainer {

void run_merge(const config& options, stage_context& context) {
  const auto adapter = options.require<std::filesystem::path>("model.adapter", "the folder of the adapter");
  const auto out = context.out_or("merged");
  check_output(out, {read_model_settings(options).path, adapter});
  if (context.dry_run) return context.rehearse(options);
  loaded_model model = load_model(options);
  load_role(model, "merged", adapter);
  const auto& state = model.bank->at("merged");
  if (state.full)
    throw file_error(adapter.string(), "", "holds whole weights, which need no merging",
                     "give the folder of an adapter");
  if (!context.begin(options)) return;
  use_threads(context);
  model.bank->add_full("whole", state.adapter.merged(model.bank->base()));
  if (state.head.defined()) model.bank->set_head("whole", state.head.weight, state.head.bias);
  save_role(model, "whole", out);
  copy_reward_statistics(adapter, out);
  context.log("merge: " + out.string());
}

subcommand make_merge_command() {
  return {.name = "merge",
          .help = "add an adapter to its base's weights",
          .run = run_merge,
          .flags = {{"--model", "model.path", "folder of the base model"},
                    {"--adapter", "model.adapter", "folder of the adapter"}},
          .sections = {"model"},
          .group = "Models"};
}

}  // namespace coho::trainer
