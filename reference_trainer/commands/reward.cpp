#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/train/reward_model.hpp>

#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "datasets/preference_data.hpp"
#include "evaluation/held_out_evaluation.hpp"
#include "evaluation/preference_measures.hpp"
#include "evaluation/reward_statistics.hpp"
#include "models/reward_model_role.hpp"
#include "observe/format.hpp"
#include "observe/metrics_log.hpp"
#include "plan/plan_settings.hpp"
#include "plan/stage_planner.hpp"
#include "run/output_path.hpp"
#include "run/stage.hpp"
#include "run/training_checkpoints.hpp"
#include "run/training_loop.hpp"
#include "run/training_run.hpp"
#include "settings/fit_settings.hpp"
#include "settings/model_settings.hpp"
#include "settings/reward_prompt_settings.hpp"

namespace coho::trainer {
namespace {

// The weights of a new head.
enum class head_start { zero, uniform };
constexpr auto option_names(head_start) { return std::array{"zero", "uniform"}; }

struct reward_options {
  preference_files files{};
  std::filesystem::path from{};  ///< a reward model to continue from
  std::uint64_t evaluate_every = 0;
  std::size_t statistics_pairs = 1024;
  head_start head_init = head_start::zero;
  double head_learning_rate_factor = 1;
  reward_lengths reward_prompt{};
  fit_settings<reward_model_options> fit{};

  // The defaults of the section "reward" or "preference_pretraining".
  static reward_options for_section(const std::string& section) {
    const bool pretraining = section == "preference_pretraining";
    reward_options out;
    out.files.plain = pretraining;
    out.reward_prompt = reward_lengths::of(section);
    out.fit = fit_settings<reward_model_options>::of(pretraining ? pretraining_defaults : reward_defaults);
    return out;
  }
  static void describe(auto&& visit, auto&... o) {
    preference_files::describe(visit, o.files...);
    visit({"from", "folder of a reward model to continue from; none: the base"}, o.from...);
    visit({"evaluate_every", "steps between two evaluations of held-out pairs; 0: only at the end", {}, "steps"},
          o.evaluate_every...);
    visit({"statistics_pairs", "number of training pairs measured for reward_statistics.json, without held-out pairs",
           allowed::at_least(1), "pairs"},
          o.statistics_pairs...);
    visit({"head_init", "initial weights of a new head; uniform: in ±1/√H"}, o.head_init...);
    visit({"head_learning_rate_factor", "factor on the learning rate for the head"}, o.head_learning_rate_factor...);
    visit({"reward_prompt", "what is kept of query and response"}, o.reward_prompt...);
    fit_settings<reward_model_options>::describe(visit, o.fit...);
  }
  // Throws config_error for options that exclude each other; sets the learning rate factors of head and bias.
  void resolve(const config& section) {
    files.resolve(section);
    fit.check_constraints(section);
    section.check(evaluate_every == 0 || !files.evaluation.empty() || files.evaluation_share > 0, "evaluate_every",
                  "0 where there are no held-out pairs: give `evaluation` or `evaluation_share`");
    // Pairs are texts until the model's forward, and have no lengths in tokens before it.
    const char* const no_lengths = "left out, as pairs become tokens only in a forward: limit micro_batch.sequences";
    section.check(fit.training.micro_batch.tokens == 0, "micro_batch.tokens", no_lengths);
    section.check(!fit.training.micro_batch.sort_by_length, "micro_batch.sort_by_length", no_lengths);
    // Score differences do not depend on the head's bias. Its gradient is rounding error, which Adam would blow
    // up to steps, and a bias that is not zero keeps the head out of the files that transformers and PEFT open.
    if (fit.training.loss.centring == 0) fit.optimizer.factors.push_back({"score.bias", 0.0});
    fit.optimizer.factors.push_back({"score.", head_learning_rate_factor});
  }
};

struct reward_settings {
  bool pretraining = false;
  std::string section;  ///< "reward" or "preference_pretraining"
  std::filesystem::path out{};
  reward_options read{};
  reward_prompt_settings prompt{};
  plan_settings planned{};
};

struct reward_choice {
  bool pretrain = false;

  static void describe(auto&& visit, auto&... o) {
    visit({"pretrain", "for reward: whether to pre-train, by the section preference_pretraining in place of reward"},
          o.pretrain...);
  }
};

// The head of a new reward model: zeros, or as the released code's linear layer begins, each weight
// uniform in ±1/√H.
void add_new_head(adapter_bank& bank, bool uniform, rng random) {
  bank.add_head("reward");
  if (!uniform) return;
  const double bound = 1 / std::sqrt(static_cast<double>(bank.config().hidden_size));
  std::vector<float> weight(static_cast<std::size_t>(bank.config().hidden_size));
  for (float& w : weight) w = static_cast<float>(bound * (2 * random.uniform() - 1));
  bank.set_head("reward", at::tensor(weight), at::zeros({1}));
}

// Flags such as --data set keys of [reward]; with --pretrain they are for [preference_pretraining], which has its own.
void apply_flags_to_pretraining(config options) {
  const config given = options.clone();
  const auto flag = [&](const std::string& key) {
    const std::string place = options.place("reward." + key);
    return place.starts_with("--") && !place.starts_with("--set ") ? place : std::string();
  };
  for (const std::string key : {"data", "evaluation"}) {
    if (const auto place = flag(key); !place.empty())
      options.set_list("preference_pretraining." + key, given.require<std::vector<std::string>>("reward." + key),
                       place);
  }
  if (const auto place = flag("from"); !place.empty())
    options.set_text("preference_pretraining.from", given.require<std::string>("reward.from"), place);
}

// The section of the stage, or of pre-training, and those that both share.
reward_settings read_reward_settings(const config& options, stage_context& context) {
  reward_settings read;
  read.pretraining = read_section<reward_choice>(options).pretrain;
  read.section = read.pretraining ? "preference_pretraining" : "reward";
  read.out = context.out_or(read.section);
  if (read.pretraining) apply_flags_to_pretraining(options);
  read.read = reward_options::for_section(read.section);
  read_options(options.section(read.section), read.read, {"reward_prompt"});
  join_ranks(options, context, read.out);
  read.prompt = read_reward_prompt(options, read.section);
  read.planned = read_parallel_plan(options, context);
  return read;
}

class reward_stage : public stage {
 public:
  reward_stage(const config& options, stage_context& context)
      : settings_(read_reward_settings(options, context)), out_(settings_.out) {}

  void check(const config&, stage_context&) override {
    check_output_folder(out_, {settings_.planned.model.path, settings_.read.from});
    if (settings_.read.files.evaluation_share > 0)
      refuse_same_file("out", out_ / "held_out.jsonl", settings_.read.files.data);
  }

  std::function<std::string()> plan(const config&, const stage_context&) const override {
    const auto& training = settings_.read.fit.training;
    return stage_planner(settings_.planned, reward_workload{.from = settings_.read.from,
                                                            .batch_size = training.batch_size,
                                                            .micro_batch_pairs = training.micro_batch.sequences,
                                                            .moments = settings_.read.fit.optimizer.moments,
                                                            .limits = settings_.prompt.limits});
  }

  bool finished(stage_context& context) const override { return finished_before(context, out_); }
  std::filesystem::path folder() const override { return out_; }

  void load(const config&, stage_context& context) override {
    model_ = load_model(settings_.planned.model, context);
    start_role(model_, "reward", settings_.read.from, settings_.planned.adapter,
               rng(context.seed).split(stream_key("reward adapter")));
    if (!model_.bank->at("reward").head.defined())
      add_new_head(*model_.bank, settings_.read.head_init == head_start::uniform,
                   rng(context.seed).split(stream_key("reward head")));
    reward_.emplace(make_reward_role(model_, "reward", settings_.prompt));
    pairs_.emplace(open_preferences(settings_.read.files, context.seed, [&](const preference_pair& pair) {
      return reward_->same_tokens_read(pair.chosen, pair.rejected);
    }));
    steps_ = settings_.read.fit.step_count(pairs_->training.size());
    parameters_ = &model_.bank->train("reward");
    optimizer_.emplace(*parameters_, settings_.read.fit.optimizer);
    trainer_.emplace(*reward_, *optimizer_, settings_.read.fit.training_options(pairs_->training.size(), context.seed),
                     *context.ranks);
  }

  void run(stage_context& context) override {
    for (const auto& note : pairs_->notes) context.log("reward: " + note);
    prepare_folder(context);
    const checkpoint_options& saves = settings_.read.fit.checkpoints;
    training_checkpoints checkpoints(out_ / "checkpoints", saves.save_every, saves.keep, context.ranks);
    checkpoints.add("reward", *parameters_, *optimizer_);
    if (const auto saved = checkpoints.restore_or_clear(context.resume)) restore_position(*trainer_, *saved);
    training_loop loop(
        context, checkpoints, out_, {.title = "reward model", .first = trainer_->save().step, .steps = steps_},
        [&](const reward_model_statistics& s, metrics_log& log, progress& bar) {
          return describe(s, log, bar, context);
        },
        [&] { return save_position(*trainer_); });
    trainer_->fit(pairs_->training, loop);
    log_cuts(*reward_, settings_.section, context);
    const std::string note = measure_scale(context);
    loop.finish(note, [&] { save_role(model_, "reward", out_); });
  }

 private:
  // Removes an earlier run's measurements, and writes the held-out pairs where they are split off here.
  void prepare_folder(const stage_context& context) {
    const bool first = context.ranks->first();
    if (!context.resume && first) {
      // An earlier run's measurements do not belong to the new model.
      std::filesystem::remove(out_ / "evaluation.json");
      remove_reward_statistics(out_);
    }
    if (!pairs_->held_out) return;
    if (settings_.read.files.evaluation_share > 0 && first) write_pairs(*pairs_->held_out, out_ / "held_out.jsonl");
    evaluation_.emplace(*reward_, std::move(*pairs_->held_out),
                        held_out_evaluation::schedule{settings_.read.evaluate_every, steps_});
  }

  // Logs a step, and evaluates where it is due. Returns the text of the progress line.
  std::string describe(const reward_model_statistics& s, metrics_log& log, progress& bar,
                       const stage_context& context) {
    const auto step = static_cast<std::int64_t>(s.step);
    auto tokens = static_cast<double>(reward_->tokens_read() - std::exchange(tokens_read_, reward_->tokens_read()));
    context.ranks->all_reduce_sum(std::span(&tokens, 1));
    bar.count("tokens", tokens);
    smoothed_accuracy_ += 0.1 * (s.accuracy - smoothed_accuracy_);
    log.add_scalars(step, {{"loss", s.loss},
                           {"accuracy", s.accuracy},
                           {"margin", s.score_difference},
                           {"score", s.score},
                           {"gradient_norm", s.gradient_norm},
                           {"learning_rate", s.learning_rate},
                           {"tokens_per_second", tokens / s.seconds}});
    if (evaluation_ && evaluation_->is_due(s.step + 1)) {
      log_evaluation(log, step, evaluation_->evaluate(s.step + 1, metrics_folder(context, out_)));
      tokens_read_ = reward_->tokens_read();  // do not count evaluation's tokens
    }
    return "loss " + format_number(s.loss, 3) + " accuracy " + format_number(smoothed_accuracy_, 3);
  }

  // Writes the scale of the scores, and returns the last line of the progress.
  std::string measure_scale(const stage_context& context) {
    const bool first = context.ranks->first();
    if (!evaluation_) {
      preference_set sample = pairs_->training.sample(settings_.read.statistics_pairs, context.seed);
      const auto scores = measure_pairs(*reward_, sample).scores();
      if (first) write_reward_statistics(out_, {"training pairs", scores});
      return out_.string();
    }
    const auto& measured = evaluation_->evaluate(steps_, metrics_folder(context, out_));
    if (first) write_reward_statistics(out_, {"held-out pairs", measured.scores()});
    return "held-out accuracy " + format_number(measured.overall().accuracy(), 3) + " ± " +
           format_number(measured.overall().accuracy_standard_error(), 3) + " → " + out_.string();
  }

  reward_settings settings_;
  std::filesystem::path out_;
  loaded_model model_;
  std::optional<reward_role> reward_;
  std::optional<preference_sets> pairs_;
  std::uint64_t steps_ = 0;
  parameter_set* parameters_ = nullptr;
  std::optional<adamw> optimizer_;
  std::optional<reward_model_trainer<reward_role, adamw, process_group>> trainer_;
  std::optional<held_out_evaluation> evaluation_;
  double smoothed_accuracy_ = 0.5;
  std::uint64_t tokens_read_ = 0;
};

option_section reward_section(const std::string& name) {
  return section_options(name, reward_options::for_section(name));
}

}  // namespace

void run_reward(const config& options, stage_context& context) { run_stage<reward_stage>(options, context); }

subcommand make_reward_command() {
  return {
      .name = "reward",
      .help = "train a reward model on preferences",
      .run = run_reward,
      .flags = {{"--model", "model.path"},
                random_weights_flag(),
                {.name = "--data", .key = "reward.data", .help = "file of preferences; repeatable", .repeatable = true},
                {.name = "--evaluation",
                 .key = "reward.evaluation",
                 .help = "held-out file of preferences; repeatable",
                 .repeatable = true},
                {"--from", "reward.from", "reward model to go on from"},
                {.name = "--pretrain", .key = "pretrain", .fixed_value = "true"}},
      .options = {section_options("", reward_choice{}), model_section(), reward_section("reward"),
                  reward_section("preference_pretraining"), section_options("reward_prompt", reward_prompt_options{}),
                  section_options("adapter", adapter_settings{}), section_options("plan", plan_options{}),
                  section_options("distributed", distributed_options{})},
      .parallel = true,
      .variants = {{"preference_pretraining", "--pretrain", "pretrain"}}};
}

}  // namespace coho::trainer
