#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <coho/error.hpp>
#include <nlohmann/json.hpp>
#include <coho/train/reward_model.hpp>

#include "commands/commands.hpp"
#include "datasets/preference_data.hpp"
#include "evaluation/preference_measures.hpp"
#include "evaluation/reward_statistics.hpp"
#include "models/reward_model_role.hpp"
#include "observe/metrics_log.hpp"
#include "observe/summary.hpp"
#include "observe/table.hpp"
#include "plan/plan_text.hpp"
#include "run/fit_run.hpp"
#include "run/output_file.hpp"
#include "run/training_run.hpp"
#include "settings/fit_settings.hpp"
#include "settings/model_settings.hpp"

namespace coho::trainer {
namespace {

// Of a run over so many pairs.
fit_settings<reward_model_options> read_reward(const config& section, const stage_context& context, std::size_t pairs,
                                               bool pretraining) {
  auto out = read_fit<reward_model_options>(
      section, context, pairs,
      {.batch_size = 64, .learning_rate = pretraining ? 5e-5 : 3e-5, .warmup_steps = pretraining ? 0.01 : 0.03});
  reward_model_options& settings = out.training;
  settings.micro_batch.sequences = section.get<std::size_t>("micro_batch_pairs", 64);
  settings.loss.margin = section.get<double>("margin", 0.0);
  settings.loss.label_smoothing = section.get<double>("label_smoothing", 0.0);
  settings.loss.centring = section.get<double>("centring", 0.0);
  static_cast<void>(bradley_terry_loss(settings.loss));
  // Differences of scores say nothing of the head's bias. Its gradient is what rounding leaves, which Adam would blow
  // up to steps, and a bias that is not zero keeps the head out of the files that transformers and PEFT open.
  if (settings.loss.centring == 0) out.optimizer.factors.push_back({"score.bias", 0.0});
  out.optimizer.factors.push_back({"score.", section.get<double>("head_learning_rate_factor", 1.0)});
  return out;
}

// The head of a reward model that starts from none: zeros, or as the released code's linear layer begins, each weight
// uniform in ±1/√H.
void start_head(adapter_bank& bank, bool uniform, rng random) {
  bank.add_head("reward");
  if (!uniform) return;
  const double bound = 1 / std::sqrt(static_cast<double>(bank.config().hidden_size));
  std::vector<float> weight(static_cast<std::size_t>(bank.config().hidden_size));
  for (float& w : weight) w = static_cast<float>(bound * (2 * random.uniform() - 1));
  bank.set_head("reward", at::tensor(weight), at::zeros({1}));
}

// Pre-training has a section of its own; what the flags say of files is meant for the section that is read.
void move_flags(config options) {
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

// Held-out pairs, evaluated as the section says.
class held_out_evaluation {
 public:
  held_out_evaluation(reward_role& reward, preference_set pairs, std::uint64_t every, std::uint64_t steps)
      : reward_(reward), pairs_(std::move(pairs)), every_(every), steps_(steps) {}

  bool due(std::uint64_t done) const { return done == steps_ || (every_ > 0 && done % every_ == 0); }

  // After `done` steps, the same on all ranks. Without a folder nothing is written.
  const preference_measures& at(std::uint64_t done, const std::filesystem::path& out) {
    if (last_ && done == done_) return *last_;
    last_ = measure_pairs(reward_, pairs_);
    done_ = done;
    if (out.empty()) return *last_;  // another rank writes
    nlohmann::ordered_json report{{"step", done}};
    report.update(last_->json());
    summary(report).write(out / "evaluation.json");
    return *last_;
  }

 private:
  reward_role& reward_;
  preference_set pairs_;
  std::uint64_t every_, steps_, done_ = 0;
  std::optional<preference_measures> last_;
};

void log_evaluation(metrics_log& log, std::int64_t step, const preference_measures& measured) {
  log.scalars(step, {{"evaluation_accuracy", measured.overall().accuracy()},
                     {"evaluation_loss", measured.overall().loss()},
                     {"evaluation_margin", measured.overall().margin()},
                     {"evaluation_brier_score", measured.overall().brier_score()},
                     {"evaluation_calibration_error", measured.confidence().expected_error()},
                     {"evaluation_score", measured.scores().mean},
                     {"evaluation_score_deviation", measured.scores().deviation}});
}

}  // namespace

void run_reward(const config& options, stage_context& context) {
  const bool pretraining = options.get<bool>("pretrain", false);
  const std::string name = pretraining ? "preference_pretraining" : "reward";
  if (pretraining) move_flags(options);
  const config section = options.section(name);
  const preference_files files = read_preference_files(section, pretraining);
  const auto from = section.get<std::filesystem::path>("from", {});
  const auto evaluate_every = section.get<std::uint64_t>("evaluate_every", 0);
  section.check(evaluate_every == 0 || !files.evaluation.empty() || files.evaluation_share > 0, "evaluate_every",
                "0 where there are no held-out pairs: give `evaluation` or `evaluation_share`");
  const auto statistics_pairs = section.get<std::size_t>("statistics_pairs", 1024);
  section.check(statistics_pairs > 0, "statistics_pairs", "at least 1");
  const bool uniform_head = section.choice("head_init", "zero", {"zero", "uniform"}) == "uniform";
  const auto out = context.out_or(name);
  process_group& ranks = join_ranks(options, context, out);
  check_output(out, {read_model_settings(options).path, from});
  if (files.evaluation_share > 0) refuse_same_file("out", out / "held_out.jsonl", files.data);
  read_reward(section, context, 1, pretraining);
  const auto plan = plan_reward(options, name, context);
  options.check_unknown();
  if (context.dry_run) return context.rehearse(options, plan);
  loaded_model model = load_model(options);
  start_role(model, "reward", from, options, rng(context.seed).split(stream_key("reward adapter")));
  if (!model.bank->at("reward").head.defined())
    start_head(*model.bank, uniform_head, rng(context.seed).split(stream_key("reward head")));
  reward_role reward = make_reward_role(model, "reward", options, name);
  if (finished_before(options, context, out)) return;
  auto [data, held_out, notes] = open_preferences(
      files, context.seed, [&](const preference_pair& pair) { return reward.reads_alike(pair.preferred, pair.other); });

  const auto [settings, optimizer_options, steps, save_every, keep] =
      read_reward(section, context, data.size(), pretraining);

  parameter_set& parameters = model.bank->train("reward");
  adamw optimizer(parameters, optimizer_options);
  reward_model_trainer trainer(reward, optimizer, settings, ranks);
  if (!context.begin(options, out)) return;
  for (const auto& note : notes) context.log("reward: " + note);
  use_threads(context);
  if (!context.resume && ranks.first()) {
    // What an earlier run measured is not of the model that comes.
    std::filesystem::remove(out / "evaluation.json");
    remove_reward_statistics(out);
  }
  if (files.evaluation_share > 0 && ranks.first()) write_pairs(*held_out, out / "held_out.jsonl");
  training_checkpoints checkpoints(out / "checkpoints", save_every, keep, context.ranks);
  checkpoints.add("reward", parameters, optimizer);
  std::optional<held_out_evaluation> evaluation;
  if (held_out) evaluation.emplace(reward, std::move(*held_out), evaluate_every, steps);
  double smoothed = 0.5;
  fit_run run(trainer, context, checkpoints, out, "reward model", steps,
              [&, read = std::uint64_t{0}](const reward_model_statistics& s, metrics_log& log, progress& bar) mutable {
                const auto step = static_cast<std::int64_t>(s.step);
                auto tokens = static_cast<double>(reward.tokens_read() - std::exchange(read, reward.tokens_read()));
                ranks.all_reduce_sum(std::span(&tokens, 1));
                bar.count("tokens", tokens);
                smoothed += 0.1 * (s.accuracy - smoothed);
                log.scalars(step, {{"loss", s.loss},
                                   {"accuracy", s.accuracy},
                                   {"margin", s.margin},
                                   {"score", s.score},
                                   {"gradient_norm", s.gradient_norm},
                                   {"learning_rate", s.learning_rate},
                                   {"tokens_per_second", tokens / s.seconds}});
                if (evaluation && evaluation->due(s.step + 1)) {
                  log_evaluation(log, step, evaluation->at(s.step + 1, metrics_folder(context, out)));
                  read = reward.tokens_read();  // what evaluation read is not training's
                }
                return "loss " + format_number(s.loss, 3) + " accuracy " + format_number(smoothed, 3);
              });
  trainer.fit(data, run);
  say_cuts(reward, name, context);

  std::string note = out.string();
  if (evaluation) {
    const auto& measured = evaluation->at(steps, metrics_folder(context, out));
    if (ranks.first()) write_reward_statistics(out, {"held-out pairs", measured.scores()});
    note = "held-out accuracy " + format_number(measured.overall().accuracy(), 3) + " ± " +
           format_number(measured.overall().accuracy_error(), 3) + " → " + note;
  } else {
    preference_set sample = data.sample(statistics_pairs, context.seed);
    const auto scores = measure_pairs(reward, sample).scores();
    if (ranks.first()) write_reward_statistics(out, {"training pairs", scores});
  }
  if (ranks.first()) save_role(model, "reward", out);
  checkpoints.remove();
  run.finish(note);
}

subcommand make_reward_command() {
  return {
      .name = "reward",
      .help = "train a reward model on preferences",
      .run = run_reward,
      .flags = {{"--model", "model.path", "folder of the base model"},
                random_weights_flag(),
                {.name = "--data", .key = "reward.data", .help = "file of preferences; repeatable", .repeatable = true},
                {.name = "--evaluation",
                 .key = "reward.evaluation",
                 .help = "held-out file of preferences; repeatable",
                 .repeatable = true},
                {"--from", "reward.from", "reward model to go on from"},
                {"--pretrain", "pretrain",
                 "preference pre-training: read the section preference_pretraining in place of reward", "true"}},
      .sections = {"model", "reward", "preference_pretraining", "reward_prompt", "adapter", "plan", "distributed"},
      .parallel = true,
      .variants = {{"preference_pretraining", "--pretrain", "pretrain"}}};
}

}  // namespace coho::trainer
