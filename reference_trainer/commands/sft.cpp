#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/train/supervised.hpp>

#include "commands/commands.hpp"
#include "datasets/sft_data.hpp"
#include "jsonl/dropped_parts.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "models/sft_prompts.hpp"
#include "models/supervised_examples.hpp"
#include "observe/metrics_log.hpp"
#include "plan/plan_text.hpp"
#include "records/records.hpp"
#include "roles/policy_role.hpp"
#include "run/stage.hpp"
#include "run/training_loop.hpp"
#include "run/training_run.hpp"
#include "settings/fit_settings.hpp"
#include "settings/model_settings.hpp"
#include "settings/prompt_settings.hpp"

namespace coho::trainer {
namespace {

struct sft_settings {
  sft_data_settings files{};
  std::size_t max_response_tokens = 512;
  trained_replies replies = trained_replies::all;
  std::vector<prompt_settings> forms{};  ///< of prompts
  std::filesystem::path adapter{};       ///< to continue from
  fit_settings<supervised_options> fit{};
  plan_settings planned{};
};

sft_settings read_sft(const config& options, stage_context& context, const std::filesystem::path& out) {
  const config section = options.section("sft");
  sft_settings read;
  const auto replies = section.choice("replies", "all", {"all", "last", "first"});
  read.replies = replies == "all"    ? trained_replies::all
                 : replies == "last" ? trained_replies::last
                                     : trained_replies::first;
  read.files = read_sft_data(section);
  read.max_response_tokens = section.get<std::size_t>("max_response_tokens", 512);
  read.forms = read_sft_prompts(options);
  join_ranks(options, context, out);
  read.adapter = options.get<std::filesystem::path>("model.adapter", {});
  read.fit = read_fit<supervised_options>(section, context, sft_defaults);
  read.planned = read_parallel_plan(options, context);
  return read;
}

// Example i in the form of prompter i mod n.
std::vector<supervised_example> read_examples(const sft_settings& settings, const std::vector<prompter>& prompts) {
  std::vector<supervised_example> out;
  std::size_t number = 0;
  for (const auto& record : load_sft_records(settings.files)) {
    const prompter& form = prompts[number++ % prompts.size()];
    out.push_back(make_supervised_example(record, form, settings.max_response_tokens, settings.replies));
    if (!out.back().response.empty()) continue;
    out.pop_back();
    dropped_parts::of_run().add("no reply with a weight above 0; left out", record.prompt.text() + record.response);
  }
  if (out.empty()) throw file_error(settings.files.files.front().string(), "", "holds no reply with a weight above 0");
  return out;
}

std::string describe_supervised(const supervised_statistics& s, metrics_log& log, progress& bar) {
  bar.count("tokens", static_cast<double>(s.tokens));
  log.scalars(static_cast<std::int64_t>(s.step), {{"loss", s.loss},
                                                  {"gradient_norm", s.gradient_norm},
                                                  {"learning_rate", s.learning_rate},
                                                  {"tokens_per_second", static_cast<double>(s.tokens) / s.seconds}});
  return "loss " + std::to_string(s.loss).substr(0, 6);
}

class sft_stage : public stage {
 public:
  sft_stage(const config& options, stage_context& context)
      : out_(context.out_or("sft")), settings_(read_sft(options, context, out_)) {}

  void check(const config&, stage_context&) override { check_output(out_, {model().path, settings_.adapter}); }

  std::function<std::string()> plan(const config&, const stage_context&) const override {
    const auto& training = settings_.fit.training;
    return plan_text(settings_.planned, sft_plan{.adapter = settings_.adapter,
                                                 .batch_size = training.batch_size,
                                                 .micro_batch_tokens = training.micro_batch.tokens,
                                                 .prompt_tokens = settings_.forms.front().max_tokens,
                                                 .response_tokens = settings_.max_response_tokens,
                                                 .moments = settings_.fit.optimizer.moments});
  }

  bool finished(stage_context& context) const override { return finished_before(context, out_); }
  std::filesystem::path folder() const override { return out_; }

  void load(const config& options, stage_context& context) override {
    model_ = load_model(model(), read_device(options), context.seed);
    start_role(model_, "policy", settings_.adapter, settings_.planned.adapter,
               rng(context.seed).split(stream_key("adapter")));
    const auto prompts = make_prompters(settings_.forms, model_);
    examples_ = read_examples(settings_, prompts);
    if (const auto note = cut_note(prompts, settings_.forms, examples_.size()); !note.empty()) context.log(note);
    // Fail before hours of training, not after.
    for (const auto& line : dropped_parts::of_run().take_lines()) context.log(line);
    parameters_ = &model_.bank->train("policy");
    optimizer_.emplace(*parameters_, settings_.fit.optimizer);
    policy_.emplace(*model_.bank, "policy");
    trainer_.emplace(*policy_, *optimizer_, settings_.fit.options_over(examples_.size()), *context.ranks);
  }

  void run(stage_context& context) override {
    training_checkpoints checkpoints(out_ / "checkpoints", settings_.fit.save_every, settings_.fit.keep, context.ranks);
    checkpoints.add("policy", *parameters_, *optimizer_);
    if (const auto saved = checkpoints.start(context.resume)) restore_position(*trainer_, *saved);
    training_loop loop(
        context, checkpoints, out_,
        {.title = "sft", .first = trainer_->save().step, .steps = settings_.fit.steps_over(examples_.size())},
        describe_supervised, [&] { return position_of(*trainer_); });
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
          .flags = {{"--model", "model.path", "folder of the base model"},
                    random_weights_flag(),
                    {"--adapter", "model.adapter", "folder to go on from"},
                    {.name = "--data",
                     .key = "sft.data",
                     .help = "file of instructions and responses, or \"identity\"; may be repeated",
                     .repeatable = true}},
          .sections = {"model", "sft", "adapter", "prompt", "plan", "distributed"},
          .parallel = true};
}

}  // namespace coho::trainer
