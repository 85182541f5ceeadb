#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>

#include <coho/train/direct_preference.hpp>

#include "checkpoint/train_state.hpp"
#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "datasets/preference_data.hpp"
#include "files/atomic_file.hpp"
#include "jsonl/dropped_parts.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "observe/format.hpp"
#include "observe/metrics_log.hpp"
#include "plan/plan_settings.hpp"
#include "plan/stage_planner.hpp"
#include "preferences/preference_evaluation.hpp"
#include "preferences/preference_examples.hpp"
#include "preferences/preference_loss_options.hpp"
#include "preferences/reference_log_probs.hpp"
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

struct dpo_stage_options {
  preference_files files{};
  preference_form records = preference_form::pairs;
  preference_loss_options loss{};
  std::uint64_t reference_refresh = 0, evaluate_every = 0;
  std::filesystem::path reference_log_probs{};  ///< empty: in the run's folder
  std::size_t max_response_tokens = 512;
  prompt_limit<true> limit{};
  fit_settings<direct_preference_options> fit = fit_settings<direct_preference_options>::of(dpo_defaults);

  static void describe(auto&& visit, auto&... o) {
    preference_files::describe(without({"principles", "margins"}, visit), o.files...);
    visit({"records", "what a record holds: a chosen and a rejected response, or one response with a label"},
          o.records...);
    preference_loss_options::describe(visit, o.loss...);
    visit({"reference_refresh",
           "steps after which the policy becomes its own reference, again and again; 0: the reference stays the policy "
           "that training starts from",
           {},
           "steps"},
          o.reference_refresh...);
    visit(otherwise("reference_log_probs.jsonl in out",
                    {"reference_log_probs", "file that keeps the reference's log-probabilities; runs may share it"}),
          o.reference_log_probs...);
    visit({"evaluate_every", "steps between two evaluations of held-out pairs; 0: only at the end", {}, "steps"},
          o.evaluate_every...);
    prompt_limit<true>::describe(visit, o.limit...);
    visit({"max_response_tokens",
           "longest response; a longer one is cut and has no end token; 0: no limit",
           {},
           "tokens"},
          o.max_response_tokens...);
    fit_settings<direct_preference_options>::describe(visit, o.fit...);
  }
  /// Throws config_error for options that exclude each other.
  void resolve(const config& section) {
    if (records == preference_form::labelled) files.column_names = labelled_columns;
    files.resolve(section);
    loss.check_constraints(section);
    fit.check_constraints(section);
    section.check(evaluate_every == 0 || !files.evaluation.empty() || files.evaluation_share > 0, "evaluate_every",
                  "0 where there are no held-out pairs: give `evaluation` or `evaluation_share`");
    section.check(records == preference_form::pairs || !loss.make().needs_pairs, "records",
                  "pairs, unless each loss judges single responses (kto, sft)");
    const bool needed = loss.make().needs_reference;
    refuse_unused(section, "reference_refresh", !needed && reference_refresh > 0, "loss",
                  "unless a loss has a reference (dpo, kto)");
    refuse_unused(section, "reference_log_probs", !keeps_log_probs() && !reference_log_probs.empty(), "loss",
                  "unless a loss has a reference (dpo, kto) that stays");
  }

  /// Whether the reference's log-probabilities are computed once and kept.
  bool keeps_log_probs() const { return loss.make().needs_reference && reference_refresh == 0; }
  /// Whether the reference itself is needed in each step: it changes, or KTO's baseline asks it about other responses.
  bool holds_reference() const {
    const auto sum = loss.make();
    return sum.needs_kl_baseline || (sum.needs_reference && reference_refresh > 0);
  }
};

struct dpo_settings {
  dpo_stage_options read{};
  prompt_settings prompting{};
  std::filesystem::path adapter{};  ///< to continue from
  plan_settings planned{};
};

// All sections. The ranks are joined here, so that their number of shards is known to the plan.
dpo_settings read_dpo(const config& options, stage_context& context, const std::filesystem::path& out) {
  dpo_settings read;
  read_options(options.section("dpo"), read.read, {"max_prompt_tokens"});
  read.prompting = read_prompt_settings(options, "dpo", true);
  join_ranks(options, context, out);
  read.adapter = read_starting_adapter(options);
  read.planned = read_parallel_plan(options, context);
  return read;
}

// A callback of the trainer: every so many steps the policy's weights become the reference's.
struct reference_refresh {
  std::uint64_t every;  ///< 0: never
  const parameter_set* policy;
  const parameter_set* reference;

  void on_step_end(const direct_preference_statistics& s) const {
    if (every == 0 || (s.step + 1) % every != 0) return;
    const at::NoGradGuard no_gradient;
    at::Tensor values = reference->values();
    values.copy_(policy->values());
  }
};

class dpo_stage : public stage {
 public:
  dpo_stage(const config& options, stage_context& context)
      : out_(context.out_or("dpo")), settings_(read_dpo(options, context, out_)) {}

  void check(const config&, stage_context&) override {
    check_output_folder(out_, {settings_.planned.model.path, settings_.adapter});
    if (read().files.evaluation_share > 0) refuse_same_file("out", out_ / "held_out.jsonl", read().files.data);
    refuse_same_file("dpo.reference_log_probs", read().reference_log_probs, read().files.data);
  }

  std::function<std::string()> plan(const config&, const stage_context&) const override {
    const auto& training = read().fit.training;
    return stage_planner(settings_.planned,
                         dpo_workload{.adapter = settings_.adapter,
                                      .batch_size = training.batch_size,
                                      .micro_batch_tokens = training.micro_batch.tokens,
                                      .prompt_tokens = settings_.prompting.max_tokens,
                                      .response_tokens = read().max_response_tokens,
                                      .responses = read().records == preference_form::pairs ? 2U : 1U,
                                      .moments = read().fit.optimizer.moments,
                                      .keeps_log_probs = read().keeps_log_probs(),
                                      .holds_reference = read().holds_reference()});
  }

  bool finished(stage_context& context) const override { return finished_before(context, out_); }
  std::filesystem::path folder() const override { return out_; }

  void load(const config&, stage_context& context) override {
    model_ = load_model(settings_.planned.model, context);
    start_role(model_, "policy", settings_.adapter, settings_.planned.adapter,
               rng(context.seed).split(stream_key("adapter")));
    // The reference is scored without dropout, and the policy must begin as its equal.
    if (model_.bank->at("policy").adapter.options().dropout > 0)
      context.log("note: adapter.dropout is off in dpo, so that policy and reference are alike at the start");
    model_.bank->modify("policy").adapter.set_dropout(0);
    if (read().holds_reference()) add_reference();
    const prompter prompts(settings_.prompting, model_);
    examples_ =
        read_preference_examples(read().files, read().records, prompts, read().max_response_tokens, context.seed);
    const std::size_t all = examples_.training.size() + examples_.held_out.size();
    // The prompt of a pair is laid out once for each of its responses.
    const std::size_t layouts = read().records == preference_form::pairs ? 2 : 1;
    if (const auto note = prompt_cut_note(prompts.cut_count() / layouts, settings_.prompting, all); !note.empty())
      context.log(note);
    // Fail before hours of training, not after.
    for (const auto& line : dropped_parts::of_run().drain_lines()) context.log(line);
    parameters_ = &model_.bank->train("policy");
    optimizer_.emplace(*parameters_, read().fit.optimizer);
    policy_.emplace(*model_.bank, "policy", policy_role_options{.entropy = false});
    reference_.emplace(*model_.bank, "reference", policy_role_options{.entropy = false});
    trainer_.emplace(*policy_, *reference_, *optimizer_, read().loss.make(),
                     read().fit.training_options(examples_.training.size(), context.seed), *context.ranks);
    steps_ = read().fit.step_count(examples_.training.size());
  }

  void run(stage_context& context) override {
    for (const auto& note : examples_.notes) context.log("dpo: " + note);
    prepare_folder(context);
    // The policy is still the one that training starts from.
    if (read().keeps_log_probs()) add_log_probs(context);
    const checkpoint_options& saves = read().fit.checkpoints;
    training_checkpoints checkpoints(out_ / "checkpoints", saves.save_every, saves.keep, context.ranks);
    checkpoints.add("policy", *parameters_, *optimizer_);
    if (reference_parameters_ != nullptr) checkpoints.add("reference", *reference_parameters_);
    if (const auto saved = checkpoints.restore_or_clear(context.resume)) restore_position(*trainer_, *saved);
    training_loop loop(
        context, checkpoints, out_, {.title = "dpo", .first = trainer_->save().step, .steps = steps_},
        [&](const direct_preference_statistics& s, metrics_log& log, progress& bar) {
          return describe(s, log, bar, context);
        },
        [&] { return save_position(*trainer_); });
    reference_refresh refresh{read().reference_refresh, parameters_, reference_parameters_};
    trainer_->fit(std::span<const direct_preference_example>(examples_.training), refresh, loop);
    loop.finish(last_line(context), [&] { save_role(model_, "policy", out_); });
  }

 private:
  const dpo_stage_options& read() const { return settings_.read; }

  // The role "reference": what the policy starts from. Without an adapter of its own that is the base, unless the base
  // computes in another type than the policy's own weights have.
  void add_reference() {
    adapter_bank& bank = *model_.bank;
    const adapter_settings& adapter = settings_.planned.adapter;
    if (read().reference_refresh > 0) {
      bank.copy("policy", "reference");
      reference_parameters_ = &bank.train("reference");
    } else if (adapter.full && (!settings_.adapter.empty() || bank.base().embedding.scalar_type() != at::kFloat)) {
      bank.copy("policy", "reference");
    } else {
      load_role(model_, "reference", settings_.adapter);
      bank.freeze("reference");
    }
  }

  // Removes an earlier run's measurements, and writes the held-out pairs where they are split off here.
  void prepare_folder(const stage_context& context) {
    const bool first = context.ranks->first();
    // An earlier run's measurements do not belong to the new model.
    if (!context.resume && first) std::filesystem::remove(out_ / "evaluation.json");
    if (examples_.held_out.empty()) return;
    if (read().files.evaluation_share > 0 && first) write_held_out();
    evaluation_.emplace(
        [this] { return trainer_->evaluate_shared(std::span<const direct_preference_example>(examples_.held_out)); },
        preference_evaluation::schedule{read().evaluate_every, steps_});
  }

  void write_held_out() const {
    std::string all;
    for (const auto& line : examples_.held_out_lines) all += line + "\n";
    write_file(out_ / "held_out.jsonl", all);
  }

  void add_log_probs(stage_context& context) {
    std::vector<direct_preference_example*> all;
    for (auto* part : {&examples_.training, &examples_.held_out})
      for (auto& example : *part) all.push_back(&example);
    const auto path =
        read().reference_log_probs.empty() ? out_ / "reference_log_probs.jsonl" : read().reference_log_probs;
    const reference_log_prob_file file{.path = path,
                                       .fingerprint = reference_fingerprint(model_, "policy", {all.begin(), all.end()}),
                                       .must_match = context.resume && latest_step(out_ / "checkpoints").has_value()};
    keep_reference_log_probs(all, *policy_, read().fit.training.micro_batch, file, context);
  }

  // Logs a step, and evaluates where it is due. Returns the text of the progress line.
  std::string describe(const direct_preference_statistics& s, metrics_log& log, progress& bar,
                       const stage_context& context) {
    const auto step = static_cast<std::int64_t>(s.step);
    bar.count("tokens", s.tokens);
    smoothed_accuracy_ += 0.1 * (s.accuracy - smoothed_accuracy_);
    log.add_scalars(step, {{"loss", s.loss},
                           {"accuracy", s.accuracy},
                           {"margin", s.reward_difference},
                           {"chosen_log_prob", s.chosen_log_prob},
                           {"rejected_log_prob", s.rejected_log_prob},
                           {"gradient_norm", s.gradient_norm},
                           {"learning_rate", s.learning_rate},
                           {"tokens_per_second", s.tokens / s.seconds}});
    if (read().loss.make().needs_kl_baseline) log.add_scalar("kl_baseline", step, s.kl_baseline);
    if (evaluation_ && evaluation_->is_due(s.step + 1))
      log_preference_evaluation(log, step, evaluation_->evaluate(s.step + 1, metrics_folder(context, out_)));
    return "loss " + format_number(s.loss, 3) + " accuracy " + format_number(smoothed_accuracy_, 3);
  }

  std::string last_line(const stage_context& context) {
    if (!evaluation_) return out_.string();
    const auto& measured = evaluation_->evaluate(steps_, metrics_folder(context, out_));
    return "held-out accuracy " + format_number(measured.accuracy, 3) + " ± " +
           format_number(accuracy_standard_error(measured), 3) + " → " + out_.string();
  }

  using trainer_type = direct_preference_trainer<policy_role, policy_role, adamw, preference_loss_sum, process_group>;

  std::filesystem::path out_;
  dpo_settings settings_;
  loaded_model model_;
  preference_examples examples_;
  std::uint64_t steps_ = 0;
  parameter_set* parameters_ = nullptr;
  parameter_set* reference_parameters_ = nullptr;  ///< only of a reference that is refreshed
  std::optional<adamw> optimizer_;
  std::optional<policy_role> policy_, reference_;
  std::optional<trainer_type> trainer_;
  std::optional<preference_evaluation> evaluation_;
  double smoothed_accuracy_ = 0.5;
};

}  // namespace

void run_dpo(const config& options, stage_context& context) { run_stage<dpo_stage>(options, context); }

subcommand make_dpo_command() {
  return {
      .name = "dpo",
      .help = "train a policy on preferences without a reward model: DPO, KTO, ORPO, SimPO, CPO",
      .run = run_dpo,
      .flags = {{"--model", "model.path"},
                random_weights_flag(),
                {"--adapter", "model.adapter", "folder to go on from"},
                {.name = "--data", .key = "dpo.data", .help = "file of preferences; repeatable", .repeatable = true},
                {.name = "--evaluation",
                 .key = "dpo.evaluation",
                 .help = "held-out file of preferences; repeatable",
                 .repeatable = true},
                {.name = "--loss",
                 .key = "dpo.loss",
                 .help = "dpo, kto, orpo, simpo, cpo, and sft next to one of these; repeatable",
                 .repeatable = true}},
      .options = {model_section(true), section_options("dpo", dpo_stage_options{}),
                  section_options("prompt", prompt_options{}), section_options("adapter", adapter_settings{}),
                  section_options("plan", plan_options{}), section_options("distributed", distributed_options{})},
      .parallel = true};
}

}  // namespace coho::trainer
