#include "stages/reward.hpp"

#include <optional>

#include <coho/error.hpp>
#include <nlohmann/json.hpp>
#include <coho/train/reward_model.hpp>

#include "data/records.hpp"
#include "observe/metrics_log.hpp"
#include "observe/summary.hpp"
#include "observe/table.hpp"
#include "stages/fit_run.hpp"
#include "stages/fit_settings.hpp"
#include "stages/model_settings.hpp"
#include "stages/plan_text.hpp"
#include "stages/reward_prompts.hpp"
#include "stages/training_run.hpp"

namespace coho::trainer {
namespace {

/// Preference records with the text that the queries point to.
class preference_data {
 public:
  preference_data(const std::filesystem::path& path, std::size_t limit)
      : records_(read_records<preference_record>(path, limit > 0 ? limit : std::numeric_limits<std::size_t>::max())) {
    for (const auto& record : records_) {
      prompts_.push_back(record.prompt.text());
      auto& lines = lines_.emplace_back();
      for (const auto& p : record.principles) {
        if (p.text.empty())
          throw file_error(path.string(), "principle " + p.name,
                           "the record holds a principle's name without its definition",
                           "aggregate the judgements again with this program");
        lines.push_back(p.text);
      }
    }
    for (std::size_t i = 0; i < records_.size(); ++i)
      pairs_.push_back({query(i, records_[i].chosen()), query(i, records_[i].rejected())});
  }

  std::span<const preference_pair> pairs() const { return pairs_; }

 private:
  reward_query query(std::size_t i, const std::string& response) const {
    return {.prompt_tokens = {},
            .response_tokens = {},
            .prompt = prompts_[i],
            .response = response,
            .principles = lines_[i]};
  }

  std::vector<preference_record> records_;
  std::vector<std::string> prompts_;
  std::vector<std::vector<std::string>> lines_;
  std::vector<preference_pair> pairs_;
};

// Of a run over so many pairs.
fit_settings<reward_model_options> read_reward(const config& section, const stage_context& context, std::size_t pairs) {
  auto out = read_fit<reward_model_options>(section, context, pairs,
                                            {.batch_size = 64, .learning_rate = 3e-5, .warmup_steps = 0.03});
  reward_model_options& settings = out.training;
  settings.micro_batch.sequences = section.get<std::size_t>("micro_batch_pairs", 64);
  settings.loss.margin = section.get<double>("margin", 0.0);
  settings.loss.label_smoothing = section.get<double>("label_smoothing", 0.0);
  settings.loss.centring = section.get<double>("centring", 0.0);
  static_cast<void>(bradley_terry_loss(settings.loss));
  out.optimizer.factors = {{"score.", section.get<double>("head_learning_rate_factor", 1.0)}};
  return out;
}

// Pre-training has a section of its own; what the flags say of files is meant for the section that is read.
void move_flags(config options) {
  const config given = options.clone();
  for (const std::string key : {"data", "evaluation", "from"}) {
    const std::string place = options.place("reward." + key);
    if (!place.starts_with("--") || place.starts_with("--set ")) continue;
    options.set_text("preference_pretraining." + key, given.get<std::string>("reward." + key, ""), place);
  }
}

}  // namespace

void run_reward(const config& options, stage_context& context) {
  const bool pretraining = options.get<bool>("pretrain", false);
  const std::string name = pretraining ? "preference_pretraining" : "reward";
  if (pretraining) move_flags(options);
  const config section = options.section(name);
  const auto path = section.require<std::filesystem::path>("data", "the file of preferences");
  const auto evaluation = section.get<std::filesystem::path>("evaluation", {});
  const auto from = section.get<std::filesystem::path>("from", {});
  const auto limit = section.get<std::size_t>("limit", 0);
  const auto out = context.out_or(name);
  process_group& ranks = join_ranks(options, context, out);
  check_output(out, {read_model_settings(options).path});
  read_reward(section, context, 1);
  const auto plan = plan_reward(options, name, context);
  options.check_unknown();
  if (context.dry_run) return context.rehearse(options, plan);
  loaded_model model = load_model(options);
  start_role(model, "reward", from, options, rng(context.seed).split(stream_key("reward adapter")));
  if (!model.bank->at("reward").head.defined()) model.bank->add_head("reward");
  reward_role reward = make_reward_role(model, "reward", options);
  const preference_data data(path, limit);
  std::optional<preference_data> held_out;
  if (!evaluation.empty()) held_out.emplace(evaluation, 0);

  const auto [settings, optimizer_options, steps, save_every, keep] =
      read_reward(section, context, data.pairs().size());

  parameter_set& parameters = model.bank->train("reward");
  adamw optimizer(parameters, optimizer_options);
  reward_model_trainer trainer(reward, optimizer, settings, ranks);
  if (finished_before(options, context, out) || !context.begin(options, out)) return;
  use_threads(context);
  training_checkpoints checkpoints(out / "checkpoints", save_every, keep, context.ranks);
  checkpoints.add("reward", parameters, optimizer);
  double smoothed = 0.5;
  fit_run run(trainer, context, checkpoints, out, "reward model", steps,
              [&](const reward_model_statistics& s, metrics_log& log) {
                smoothed += 0.1 * (s.accuracy - smoothed);
                log.scalars(static_cast<std::int64_t>(s.step), {{"loss", s.loss},
                                                                {"accuracy", s.accuracy},
                                                                {"margin", s.margin},
                                                                {"score", s.score},
                                                                {"gradient_norm", s.gradient_norm},
                                                                {"learning_rate", s.learning_rate}});
                return "loss " + format_number(s.loss, 3) + " accuracy " + format_number(smoothed, 3);
              });
  trainer.fit(data.pairs(), run);

  std::string note = out.string();
  if (held_out) {
    const auto result = trainer.evaluate_shared(held_out->pairs());
    summary figures;
    figures.set("pairs", result.pairs);
    figures.set("accuracy", result.accuracy);
    figures.set("loss", result.loss);
    figures.set("margin", result.margin);
    if (ranks.first()) figures.write(out / "evaluation.json");
    note = "held-out accuracy " + format_number(result.accuracy, 3) + " → " + note;
  }
  if (ranks.first()) save_role(model, "reward", out);
  checkpoints.remove();
  run.finish(note);
}

subcommand make_reward_command() {
  return {.name = "reward",
          .help = "train a reward model on preferences",
          .run = run_reward,
          .flags = {{"--model", "model.path", "folder of the base model"},
                    random_weights_flag(),
                    {"--data", "reward.data", "file of preferences"},
                    {"--evaluation", "reward.evaluation", "held-out file of preferences"},
                    {"--from", "reward.from", "reward model to go on from"},
                    {"--pretrain", "pretrain",
                     "preference pre-training: read the section preference_pretraining in place of reward", "true"}},
          .sections = {"model", "reward", "preference_pretraining", "reward_prompt", "adapter", "plan", "distributed"},
          .parallel = true};
}

}  // namespace coho::trainer
