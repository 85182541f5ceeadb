#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/train/supervised.hpp>

#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "datasets/sft_data.hpp"
#include "jsonl/dropped_parts.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "models/sft_prompts.hpp"
#include "models/supervised_examples.hpp"
#include "observe/metrics_log.hpp"
#include "plan/plan_settings.hpp"
#include "plan/stage_planner.hpp"
#include "records/records.hpp"
#include "roles/policy_role.hpp"
#include "run/output_path.hpp"
#include "run/stage.hpp"
#include "run/training_checkpoints.hpp"
#include "run/training_loop.hpp"
#include "run/training_run.hpp"
#include "settings/fit_settings.hpp"
#include "settings/model_settings.hpp"
#include "settings/prompt_settings.hpp"

namespace coho::trainer {
namespace {

struct sft_options {
  sft_data_settings files{};
  sft_example_options examples{};
  prompt_limit<true> limit{};
  fit_settings<supervised_options> fit = fit_settings<supervised_options>::of(sft_defaults);

  static void describe(auto&& visit, auto&... o) {
    sft_data_settings::describe(visit, o.files...);
    sft_example_options::describe(visit, o.examples...);
    prompt_limit<true>::describe(visit, o.limit...);
    fit_settings<supervised_options>::describe(visit, o.fit...);
  }
  // Throws config_error for options that exclude each other.
  void check_constraints(const config& section) const {
    files.check_constraints(section);
    fit.check_constraints(section);
  }
};

struct sft_settings {
  sft_options read{};
  std::vector<prompt_settings> forms{};  ///< of prompts
  std::filesystem::path adapter{};       ///< to continue from
  plan_settings planned{};
};

// All sections. The ranks are joined here, so that their number of shards is known to the plan.
sft_settings read_sft(const config& options, stage_context& context, const std::filesystem::path& out) {
  sft_settings read;
  read_options(options.section("sft"), read.read, {"max_prompt_tokens"});
  read.forms = read_sft_prompts(options, read.read.examples.templates);
  join_ranks(options, context, out);
  read.adapter = read_starting_adapter(options);
  read.planned = read_parallel_plan(options, context);
  return read;
}

// All records as examples, record i in the form of prompter i mod n. Those without a reply to train on are left out and
// counted; file_error where none is left.
std::vector<supervised_example> read_examples(const sft_settings& settings, const std::vector<prompter>& prompts) {
  std::vector<supervised_example> out;
  std::size_t number = 0;
  // Several forms are never the model's own, which is the only one that refuses conversations.
  for (const auto& record : load_sft_records(settings.read.files, layout_check(prompts.front()))) {
    const prompter& form = prompts[number++ % prompts.size()];
    out.push_back(make_supervised_example(record, form, settings.read.examples.max_response_tokens,
                                          settings.read.examples.replies));
    if (!out.back().response.empty()) continue;
    out.pop_back();
    dropped_parts::of_run().add("no reply with a weight above 0; left out", record.prompt.text() + record.response);
  }
  if (out.empty())
    throw file_error(settings.read.files.files.front().string(), "", "holds no reply with a weight above 0");
  return out;
}

// Logs a step. Returns the text of the progress line.
std::string describe_supervised(const supervised_statistics& s, metrics_log& log, progress& bar) {
  bar.count("tokens", static_cast<double>(s.tokens));
  log.add_scalars(static_cast<std::int64_t>(s.step),
                  {{"loss", s.loss},
                   {"gradient_norm", s.gradient_norm},
                   {"learning_rate", s.learning_rate},
                   {"tokens_per_second", static_cast<double>(s.tokens) / s.seconds}});
  return "loss " + std::to_string(s.loss).substr(0, 6);
}

class sft_stage : public stage {
 public:
  sft_stage(const config& options, stage_context& context)
      : out_(context.out_or("sft")), settings_(read_sft(options, context, out_)) {}

  void check(const config&, stage_context&) override { check_output_folder(out_, {model().path, settings_.adapter}); }

  std::function<std::string()> plan(const config&, const stage_context&) const override {
    const auto& training = settings_.read.fit.training;
    return stage_planner(settings_.planned, sft_workload{.adapter = settings_.adapter,
                                                         .batch_size = training.batch_size,
                                                         .micro_batch_tokens = training.micro_batch.tokens,
                                                         .prompt_tokens = settings_.forms.front().max_tokens,
                                                         .response_tokens = settings_.read.examples.max_response_tokens,
                                                         .moments = settings_.read.fit.optimizer.moments});
  }

  bool finished(stage_context& context) const override { return finished_before(context, out_); }
  std::filesystem::path folder() const override { return out_; }

  void load(const config&, stage_context& context) override {
    model_ = load_model(model(), context);
    start_role(model_, "policy", settings_.adapter, settings_.planned.adapter,
               rng(context.seed).split(stream_key("adapter")));
    const auto prompts = make_prompters(settings_.forms, model_);
    examples_ = read_examples(settings_, prompts);
    if (const auto note = sft_cut_note(prompts, settings_.forms, examples_.size()); !note.empty()) context.log(note);
    // Fail before hours of training, not after.
    for (const auto& line : dropped_parts::of_run().drain_lines()) context.log(line);
    parameters_ = &model_.bank->train("policy");
    optimizer_.emplace(*parameters_, settings_.read.fit.optimizer);
    policy_.emplace(*model_.bank, "policy");
    trainer_.emplace(*policy_, *optimizer_, settings_.read.fit.training_options(examples_.size(), context.seed),
                     *context.ranks);
  }

  void run(stage_context& context) override {
    const checkpoint_options& saves = settings_.read.fit.checkpoints;
    training_checkpoints checkpoints(out_ / "checkpoints", saves.save_every, saves.keep, context.ranks);
    checkpoints.add("policy", *parameters_, *optimizer_);
    if (const auto saved = checkpoints.restore_or_clear(context.resume)) restore_position(*trainer_, *saved);
    training_loop loop(
        context, checkpoints, out_,
        {.title = "sft", .first = trainer_->save().step, .steps = settings_.read.fit.step_count(examples_.size())},
        describe_supervised, [&] { return save_position(*trainer_); });
    trainer_->fit(std::span<const supervised_example>(examples_), loop);
    loop.finish(out_.string(), [&] { save_role(model_, "policy", out_); });
  }

 private:
  const model_settings& model() const { return settings_.planned.model; }

  std::filesystem::path out_;
  sft_settings settings_;
  loaded_model model_;
  std::vector<supervised_example> examples_;
  parameter_set* parameters_ = nullptr;
  std::optional<adamw> optimizer_;
  std::optional<policy_role> policy_;
  std::optional<supervised_trainer<policy_role, adamw, process_group>> trainer_;
};

}  // namespace

void run_sft(const config& options, stage_context& context) { run_stage<sft_stage>(options, context); }

subcommand make_sft_command() {
  return {.name = "sft",
          .help = "supervised fine-tuning on instructions and responses",
          .run = run_sft,
          .flags = {{"--model", "model.path"},
                    random_weights_flag(),
                    {"--adapter", "model.adapter", "folder to go on from"},
                    {.name = "--data",
                     .key = "sft.data",
                     .help = "file of instructions and responses, or \"identity\"; may be repeated",
                     .repeatable = true}},
          .options = {model_section(true), section_options("sft", sft_options{}),
                      section_options("prompt", prompt_options{}), section_options("adapter", adapter_settings{}),
                      section_options("plan", plan_options{}), section_options("distributed", distributed_options{})},
          .parallel = true};
}

}  // namespace coho::trainer
