#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "evaluation/reward_statistics.hpp"
#include "models/model_files.hpp"
#include "run/output_path.hpp"
#include "run/stage.hpp"
#include "settings/model_settings.hpp"

namespace coho::trainer {

namespace {

struct merge_options {
  std::filesystem::path adapter{};

  static void describe(auto&& visit, auto&... o) {
    visit(required({"adapter", "folder of the adapter"}), o.adapter...);
  }
};

class merge_stage : public stage {
 public:
  merge_stage(const config& options, stage_context& context)
      : adapter_(read_section<merge_options>(options.section("model")).adapter),
        base_(read_model_settings(options)),
        out_(context.out_or("merged")) {}

  void check(const config&, stage_context&) override { check_output_folder(out_, {base_.path, adapter_}); }

  void load(const config&, stage_context& context) override {
    model_ = load_model(base_, context);
    load_role(model_, "merged", adapter_);
    if (model_.bank->at("merged").full)
      throw file_error(adapter_.string(), "", "holds whole weights, which need no merging",
                       "give the folder of an adapter");
  }

  void run(stage_context& context) override {
    const auto& state = model_.bank->at("merged");
    model_.bank->add_full("whole", state.adapter.merge(model_.bank->base()));
    if (state.head.defined()) model_.bank->set_head("whole", state.head.weight, state.head.bias);
    save_role(model_, "whole", out_);
    copy_reward_statistics(adapter_, out_);
    context.log("merge: " + out_.string());
  }

 private:
  std::filesystem::path adapter_;
  model_settings base_;
  std::filesystem::path out_;
  loaded_model model_;
};

// The section `model`, in which the adapter is required here.
option_section merge_section() {
  option_section out = model_section();
  list_options(out.options, "model.", {}, merge_options{});
  out.partial = true;
  return out;
}

}  // namespace

void run_merge(const config& options, stage_context& context) { run_stage<merge_stage>(options, context); }

subcommand make_merge_command() {
  return {.name = "merge",
          .help = "add an adapter to its base's weights",
          .run = run_merge,
          .flags = {{"--model", "model.path"}, {"--adapter", "model.adapter"}},
          .options = {merge_section()},
          .group = "Models"};
}

}  // namespace coho::trainer
