#include <cmath>

#include <coho/error.hpp>
#include <nlohmann/json.hpp>
#include <coho/train/ppo.hpp>

#include "checkpoint/train_state.hpp"
#include "commands/commands.hpp"
#include "evaluation/ppo_evaluation.hpp"
#include "evaluation/reward_statistics.hpp"
#include "models/prompter.hpp"
#include "models/reward_model_role.hpp"
#include "observe/metrics_log.hpp"
#include "observe/table.hpp"
#include "plan/plan_text.hpp"
#include "roles/policy_role.hpp"
#include "roles/value_role.hpp"
#include "rollouts/reward_parts.hpp"
#include "rollouts/rl_prompts.hpp"
#include "rollouts/rollout_board.hpp"
#include "rollouts/symbolic_rewards.hpp"
#include "run/training_run.hpp"
#include "settings/generation_settings.hpp"
#include "settings/model_settings.hpp"
#include "settings/optimizer_settings.hpp"
#include "settings/ppo_settings.hpp"
#include "settings/prompt_settings.hpp"
#include "settings/reward_prompt_settings.hpp"

namespace coho::trainer {
namespace {

// Of all ranks: the tokens in sum, the seconds of the slowest one.
struct work_of_ranks {
  ppo_phases tokens, seconds;
};

work_of_ranks over_ranks(const ppo_statistics& s, process_group& ranks) {
  const double mine[] = {s.phase_tokens.generation, s.phase_tokens.update, s.phase_seconds.generation,
                         s.phase_seconds.update};
  const auto all = ranks.all_gather(std::span<const double>(mine));
  work_of_ranks out;
  for (std::size_t r = 0; r < all.size(); r += std::size(mine)) {
    out.tokens.generation += all[r];
    out.tokens.update += all[r + 1];
    out.seconds.generation = std::max(out.seconds.generation, all[r + 2]);
    out.seconds.update = std::max(out.seconds.update, all[r + 3]);
  }
  return out;
}

void log_step(metrics_log& log, const ppo_statistics& s, const work_of_ranks& work, const reward_parts& parts) {
  for (const auto& [name, mean] : parts.means()) log.scalar(name, static_cast<std::int64_t>(s.step), mean);
  log.scalars(static_cast<std::int64_t>(s.step), {{"reward", s.reward_mean},
                                                  {"score", s.score_mean},
                                                  {"shaped_reward", s.shaped_reward_mean},
                                                  {"kl", s.kl_sequence},
                                                  {"kl_token", s.kl_token},
                                                  {"kl_coefficient", s.kl_coefficient},
                                                  {"length", s.length_mean},
                                                  {"unfinished", s.unfinished},
                                                  {"empty", s.empty},
                                                  {"entropy", s.entropy},
                                                  {"policy_loss", s.policy_loss},
                                                  {"value_loss", s.value_loss},
                                                  {"clip_fraction", s.clip_fraction},
                                                  {"value_clip_fraction", s.value_clip_fraction},
                                                  {"approximate_kl", s.approximate_kl},
                                                  {"explained_variance", s.explained_variance},
                                                  {"gradient_norm", s.gradient_norm},
                                                  {"learning_rate", s.learning_rate},
                                                  {"first_ratio_deviation", s.first_ratio_deviation},
                                                  {"sampler_difference_max", s.sampler_difference_max},
                                                  {"seconds_generation", s.phase_seconds.generation},
                                                  {"seconds_update", s.phase_seconds.update},
                                                  {"seconds", s.phase_seconds.total()}});
  log.scalars(static_cast<std::int64_t>(s.step),
              {{"generated_tokens_per_second", work.tokens.generation / work.seconds.generation},
               {"trained_tokens_per_second", work.tokens.update / work.seconds.update}});
  log.flush();  // before the checkpoint: a run that is killed goes on behind these lines
}

// Mean and deviation of the initial policy's scores: the scale that KL coefficient and bonuses are chosen for. Each
// rank answers for its shares.
normalize_options measure(policy_role& policy, reward_role& reward, const prompter& prompts,
                          const rl_prompt_source& source, const generation_options& generation, std::size_t samples,
                          std::uint64_t seed, process_group& ranks) {
  std::vector<double> scores;
  for (std::uint64_t round = 0; scores.size() < samples; ++round) {
    const auto whole = source((std::uint64_t{1} << 32) + round);
    std::vector<double> mine;
    const index_range shares = shares_of_rank(ranks);
    for (std::size_t share = shares.begin; share < shares.end; ++share) {
      const index_range part = part_of(whole.size(), share, share_count(ranks));
      if (part.size() == 0) continue;
      const auto batch = std::span(whole).subspan(part.begin, part.size());
      packed<token> tokens;
      std::vector<rng> streams;
      for (const auto& prompt : batch) {
        tokens.push_back(prompt.tokens);
        streams.push_back(rng(seed).split(stream_key("normalization")).split(round).split(prompt.key));
      }
      const auto sampled = policy.generate(tokens, generation, streams);
      std::vector<std::string> texts;
      for (std::size_t i = 0; i < batch.size(); ++i) texts.push_back(prompts.response_text(sampled.responses[i]));
      std::vector<reward_query> queries;
      for (std::size_t i = 0; i < batch.size(); ++i)
        queries.push_back({.prompt_tokens = tokens[i],
                           .response_tokens = sampled.responses[i],
                           .prompt = batch[i].text,
                           .response = texts[i],
                           .principles = batch[i].principles,
                           .finished = sampled.finished[i] != 0});
      for (const double score : reward.score(queries)) mine.push_back(score);
    }
    const auto all = ranks.all_gather(std::span<const double>(mine));
    scores.insert(scores.end(), all.begin(), all.end());
  }
  double mean = 0, square = 0;
  for (const double s : scores) mean += s / static_cast<double>(scores.size());
  for (const double s : scores) square += (s - mean) * (s - mean) / static_cast<double>(scores.size());
  return {.mean = mean, .deviation = std::max(std::sqrt(square), 1e-6)};
}

}  // namespace

void run_ppo(const config& options, stage_context& context) {
  const config section = options.section("ppo");
  const auto start = section.get<std::filesystem::path>("policy", {});
  const auto reward_path = section.get<std::filesystem::path>("reward_model", {});
  const auto prompts_path = section.require<std::filesystem::path>("prompts", "the file of prompts");
  const auto steps = section.get<std::uint64_t>("steps", 100);
  const auto rollouts = section.get<std::size_t>("rollouts", 576);
  const auto samples_per_prompt = section.get<std::size_t>("samples_per_prompt", 1);
  const bool zero_value_head = section.choice("value_head", "zero", {"zero", "copy"}) == "zero";
  const normalization_source normalization = read_normalization(section, !reward_path.empty());
  const auto save_every = section.get<std::uint64_t>("save_every", 10);
  const auto keep = section.get<std::size_t>("keep", 2);
  const bool drop_long = section.choice("long_prompts", "drop", {"drop", "cut"}) == "drop";
  const auto stop_kl = section.get<double>("stop_kl", 0.0);
  section.check(steps > 0, "steps", "at least 1");
  section.check(std::isfinite(stop_kl) && stop_kl >= 0, "stop_kl", "finite and at least 0 (off)");

  prompt_settings prompting = read_prompt_settings(options);
  ppo_options settings = read_ppo_options(options, context, prompting.stop, steps);
  // Responses are shown to people and reward models up to these too, which do not finish them.
  prompting.stop.insert(prompting.stop.end(), settings.generation.unfinished_stop.begin(),
                        settings.generation.unfinished_stop.end());
  const engine_options engine = read_engine(options);
  const auto bonus = read_bonus(section, settings.generation.max_new_tokens);
  const ppo_evaluation_settings evaluated = read_ppo_evaluation(section, settings.generation);
  const guideline_source guidelines(section, context.dry_run);
  const adamw_options optimizer_options = read_adamw(section);
  rl_prompt_source::check(rollouts, samples_per_prompt);
  const auto out = context.out_or("ppo");
  process_group& ranks = join_ranks(options, context, out);
  check_output(out, {read_model_settings(options).path, start, reward_path});
  check_output(out / "best", {start, reward_path});
  read_reward_prompt(options, "ppo");
  const auto plan = plan_ppo(options, settings, context);
  // Nobody is told of a key that is wanted because another was misspelt.
  options.check_unknown();
  section.check(!reward_path.empty() || section.get<double>("language_bonus", 0.0) != 0 ||
                    section.get<double>("length_bonus.coefficient", 0.0) != 0,
                "reward_model",
                "given, unless ppo.language_bonus or ppo.length_bonus.coefficient is: there is nothing to learn from");
  for (const char* key : {"principles", "interventions"})
    section.check(!reward_path.empty() || section.get<std::string>(key, "").empty(), key,
                  "left out: without a reward model nobody reads it");
  section.check(!section.get<std::string>("interventions", "").empty() ||
                    section.get<std::vector<std::string>>("use_interventions", {}).empty(),
                "use_interventions", "left out unless ppo.interventions names the file");
  if (context.dry_run) return context.rehearse(options, plan);

  loaded_model model = load_model(options);
  adapter_bank& bank = *model.bank;
  const rng random(context.seed);
  load_role(model, "reference", start);
  start_role(model, "policy", start, options, random.split(stream_key("policy adapter")));
  if (reward_path.empty()) {
    start_role(model, "value", {}, options, random.split(stream_key("value adapter")));
  } else {
    load_role(model, "reward", reward_path);
    if (!bank.at("reward").head.defined())
      throw file_error(reward_path.string(), "", "this is no reward model: it has no scalar head",
                       "give the output folder of `coho reward`");
    bank.copy("reward", "value");
    const adapter_settings wanted = read_adapter_settings(options);
    if (bank.at("value").full != wanted.full)
      throw config_error(std::string("adapter.kind = ") + (wanted.full ? "full" : "lora") +
                         ": the value model starts from " + reward_path.string() + ", which holds " +
                         (wanted.full ? "an adapter" : "whole weights"));
    bank.freeze("reward");
  }
  // Rollouts are scored without dropout: with it, the first minibatch's ratio of probabilities would not be 1.
  for (const char* role : {"policy", "value"}) bank.at(role).adapter.set_dropout(0);
  if (read_adapter_settings(options).lora.dropout > 0)
    context.log("note: adapter.dropout is off in ppo, so that the first minibatch's probability ratio is 1");
  bank.freeze("reference");
  if (zero_value_head || !bank.at("value").head.defined()) bank.add_head("value");

  const prompter prompts(prompting, model);
  std::optional<reward_role> reward_model;
  if (!reward_path.empty()) reward_model.emplace(make_reward_role(model, "reward", options, "ppo"));
  const rl_prompt_source source(
      within_limit(read_records<prompt_record>(prompts_path), prompts, drop_long, prompts_path, context), prompts,
      guidelines, rollouts, samples_per_prompt, context.seed);
  const auto held_out = evaluation_prompts(evaluated, prompts, guidelines, drop_long, context);
  if (finished_before(options, context, out)) return;
  // What may fail fails before an earlier run's checkpoints go.
  const bool goes_on = context.resume && latest_step(out / "checkpoints");  // a checkpoint knows the scale
  if (normalization.from == normalization_source::kind::reward_model && !goes_on)
    settings.normalization = stored_normalization(reward_path);
  check_evaluation_files(evaluated, out);
  if (!context.begin(options, out)) return;
  use_threads(context);

  parameter_set &policy_parameters = bank.train("policy"), &value_parameters = bank.train("value");
  adamw policy_optimizer(policy_parameters, optimizer_options), value_optimizer(value_parameters, optimizer_options);
  const policy_role_options sampling{.temperature = settings.generation.temperature,
                                     .banned = model.never_sampled(),
                                     .end_tokens = model.end_tokens(),
                                     .token_texts = model.token_texts(),
                                     .entropy_gradient = settings.entropy_coefficient > 0,
                                     .engine = engine};
  policy_role policy(bank, "policy", sampling), reference(bank, "reference", sampling);
  value_role value(bank, "value");
  auto reward = [&](std::span<const reward_query> queries) {
    return reward_model ? reward_model->score(queries) : std::vector<double>(queries.size(), 0.0);
  };
  const auto decoder = [&](std::span<const token> tokens) { return prompts.response_text(tokens); };

  training_checkpoints checkpoints(out / "checkpoints", save_every, keep, context.ranks);
  if (!context.resume) checkpoints.remove();  // what an abandoned run left is not this one's
  checkpoints.add("policy", policy_parameters, policy_optimizer);
  checkpoints.add("value", value_parameters, value_optimizer);
  std::optional<nlohmann::json> saved;
  if (context.resume) saved = checkpoints.restore();
  if (saved) {
    settings.normalization.mean = saved->at("normalization_mean").get<double>();
    settings.normalization.deviation = saved->at("normalization_deviation").get<double>();
  } else if (reward_model && normalization.from == normalization_source::kind::initial_policy) {
    settings.normalization = measure(reference, *reward_model, prompts, source, settings.generation,
                                     normalization.samples, context.seed, ranks);
  }
  ppo_trainer trainer{ppo_models{.policy = policy,
                                 .reference = reference,
                                 .value = value,
                                 .reward = reward,
                                 .optimizer = policy_optimizer,
                                 .value_optimizer = value_optimizer,
                                 .decoder = decoder,
                                 .bonus = bonus,
                                 .ranks = ranks},
                      settings};
  if (saved) {
    ppo_state state = trainer.save();
    state.step = saved->at("step").get<std::uint64_t>();
    state.seed = saved->value("seed", state.seed);
    state.kl.coefficient = saved->at("kl_coefficient").get<double>();
    trainer.restore(state);
  }
  reward_parts parts(settings, bonus, reward_model.has_value());
  std::optional<ppo_evaluation> evaluation;
  if (evaluated.on())
    evaluation.emplace(evaluated, held_out, guidelines,
                       ppo_evaluation_models{model, reward_model ? &*reward_model : nullptr, prompts, parts}, sampling,
                       settings.generation, settings.scoring_batch, out, context);
  if (evaluation && saved) evaluation->restore(saved->value("evaluations", nlohmann::json::array()));
  double kl = saved ? saved->value("kl", 0.0) : 0.0;  // of the last rollouts

  const auto first = trainer.save().step;
  if (ranks.first()) forget_evaluations(out, first);
  metrics_log log(metrics_folder(context, out),
                  context.resume ? std::optional<std::int64_t>(static_cast<std::int64_t>(first)) : std::nullopt);
  auto bar = context.start_progress("ppo", steps, "steps");
  bar.start_at(first);
  const auto values = [&] {
    return nlohmann::json{{"step", trainer.save().step},
                          {"kl", kl},
                          {"kl_coefficient", trainer.kl_coefficient()},
                          {"seed", settings.seed},
                          {"normalization_mean", settings.normalization.mean},
                          {"normalization_deviation", settings.normalization.deviation},
                          {"evaluations", evaluation ? evaluation->save() : nlohmann::json::array()}};
  };
  const auto stop_if_interrupted = [&] {
    if (!context.interrupted_anywhere()) return;
    checkpoints.save(trainer.save().step, values());
    context.stop_if_interrupted();
  };
  rollout_board board(log);
  bool cuts_said = !reward_model;
  while (true) {
    const std::uint64_t done = trainer.save().step;
    const bool away = ranks.agree_with_first(stop_kl > 0 && kl > stop_kl), last = away || done >= steps;
    if (evaluation && evaluation->due(done, last)) {
      evaluation->run(done, log, ranks);
      stop_if_interrupted();
    }
    if (away)
      context.log("stopped after " + std::to_string(done) + " steps: a kl of " + format_number(kl, 2) +
                  " is above ppo.stop_kl");
    const bool spent = ranks.agree_with_first(evaluation && evaluation->out_of_patience());
    if (spent && !last)
      context.log("stopped after " + std::to_string(done) + " steps: ppo.evaluation.patience is at its end");
    if (last || spent) break;
    const auto batch = source(done);
    const index_range mine = part_of_rank(batch.size(), ranks);
    const ppo_statistics s =
        trainer.step(std::span<const rl_prompt>(batch).subspan(mine.begin, mine.size()), parts, board);
    kl = s.kl_sequence;
    if (!cuts_said) cuts_said = say_cuts(*reward_model, "ppo", context);
    const work_of_ranks work = over_ranks(s, ranks);
    log_step(log, s, work, parts);
    bar.count("generated", work.tokens.generation);
    bar.count("trained", work.tokens.update);
    bar.advance(1, "reward " + format_number(s.reward_mean, 2) + " kl " + format_number(s.kl_sequence, 2) + " length " +
                       format_number(s.length_mean, 1) +
                       (s.empty > 0 ? " empty " + format_number(100 * s.empty, 0) + " %" : ""));
    stop_if_interrupted();
    checkpoints.save_if_due(s.step + 1, values());
  }
  log.flush();
  if (ranks.first()) save_role(model, "policy", out);
  checkpoints.remove();
  bar.finish(out.string());
}

subcommand make_ppo_command() {
  return {
      .name = "ppo",
      .help = "train a policy against a reward model under principles",
      .run = run_ppo,
      .flags = {{"--model", "model.path", "folder of the base model"},
                random_weights_flag(),
                {"--policy", "ppo.policy", "folder that policy and reference start from"},
                {"--reward-model", "ppo.reward_model", "folder of the reward model"},
                {"--prompts", "ppo.prompts", "file of prompts"},
                {"--principles", "ppo.principles", "file of principles, or a shipped one: reinforcement, reward_model"},
                {"--interventions", "ppo.interventions", "file of interventions, or a shipped one: interventions"},
                {"--steps", "ppo.steps", "PPO steps"}},
      .sections = {"model", "ppo", "reward_prompt", "generation", "prompt", "adapter", "plan", "distributed"},
      .parallel = true};
}

}  // namespace coho::trainer
