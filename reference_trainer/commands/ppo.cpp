#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/train/ppo.hpp>

#include "checkpoint/train_state.hpp"
#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "evaluation/ppo_ending.hpp"
#include "evaluation/ppo_evaluation.hpp"
#include "evaluation/reward_statistics.hpp"
#include "models/ppo_roles.hpp"
#include "models/prompter.hpp"
#include "models/reward_model_role.hpp"
#include "plan/plan_settings.hpp"
#include "plan/stage_planner.hpp"
#include "roles/policy_role.hpp"
#include "roles/value_role.hpp"
#include "rollouts/initial_scale.hpp"
#include "rollouts/ppo_log.hpp"
#include "rollouts/reward_parts.hpp"
#include "rollouts/rl_prompts.hpp"
#include "rollouts/rollout_board.hpp"
#include "run/output_path.hpp"
#include "run/stage.hpp"
#include "run/training_checkpoints.hpp"
#include "run/training_loop.hpp"
#include "run/training_run.hpp"
#include "settings/bonus_settings.hpp"
#include "settings/checkpoint_settings.hpp"
#include "settings/generation_settings.hpp"
#include "settings/model_settings.hpp"
#include "settings/optimizer_settings.hpp"
#include "settings/ppo_evaluation_settings.hpp"
#include "settings/ppo_settings.hpp"
#include "settings/prompt_settings.hpp"
#include "settings/reward_prompt_settings.hpp"

namespace coho::trainer {
namespace {

enum class value_head_start { zero, copy };
constexpr auto option_names(value_head_start) { return std::array{"zero", "copy"}; }

struct ppo_stage_options {
  std::filesystem::path policy{}, reward_model{};
  rl_prompt_options prompts{};
  std::uint64_t steps = 100;
  std::size_t rollouts = 576, samples_per_prompt = 1;
  value_head_start value_head = value_head_start::zero;
  checkpoint_options checkpoints{.save_every = 10, .keep = 2};
  double stop_kl = 0;
  guideline_options guideline{};

  bool is_scored() const { return !reward_model.empty(); }

  static void describe(auto&& visit, auto&... o) {
    visit({"policy", "folder of the adapter or model that policy and reference start from; none: the base"},
          o.policy...);
    visit({"reward_model", "folder of the reward model; required unless a bonus is set"}, o.reward_model...);
    rl_prompt_options::describe(visit, o.prompts...);
    guideline_options::describe(visit, o.guideline...);
    visit({"steps", "number of PPO steps", allowed::at_least(1), "steps"}, o.steps...);
    visit({"rollouts",
           "number of responses in a step, over all ranks; a multiple of samples_per_prompt",
           {},
           "responses"},
          o.rollouts...);
    visit({"samples_per_prompt", "number of responses to one prompt in a step", {}, "responses"},
          o.samples_per_prompt...);
    visit({"value_head", "start of the value model's head: zeros, or a copy of the reward model's"}, o.value_head...);
    visit({"stop_kl", "KL per response that ends the run; 0: off", allowed::at_least(0), "nats"}, o.stop_kl...);
    checkpoint_options::describe(visit, o.checkpoints...);
  }
  /// Throws config_error where an option has no effect.
  void check_constraints(const config& section) const {
    prompts.check_constraints(section);
    checkpoints.check_constraints(section, ppo_stage_options{}.checkpoints.keep);
    guideline.check_constraints(section);
  }
};

struct ppo_settings {
  ppo_stage_options read{};
  prompt_settings prompting{};
  ppo_training training{};
  engine_options engine{};
  std::optional<symbolic_rewards> bonus{};
  ppo_evaluation_settings evaluation{};
  std::optional<guideline_source> guidelines{};
  reward_prompt_settings reward_prompt{};
  plan_settings planned{};
  const ppo_options& options() const { return training.options; }
};

// All sections. The ranks are joined here, so that their number of shards is known to the plan.
ppo_settings read_ppo_settings(const config& options, stage_context& context, const std::filesystem::path& out) {
  const config section = options.section("ppo");
  ppo_settings read;
  read_options(section, read.read);
  read.prompting = read_prompt_settings(options);
  read.training = read_ppo_training(options, context, read.prompting.stop, read.read.steps);
  check_normalization(section, read.training, read.read.is_scored());
  const generation_options& generation = read.options().generation;
  // Shown responses are also cut at these, which do not finish them.
  read.prompting.stop.insert(read.prompting.stop.end(), generation.unfinished_stop.begin(),
                             generation.unfinished_stop.end());
  read.engine = read_engine(options);
  read.bonus.emplace(read_bonus(section, read.training.preset, generation.max_new_tokens));
  read.evaluation = read_ppo_evaluation_settings(section, generation, read.read.prompts.columns);
  read.guidelines.emplace(read.read.guideline, context.dry_run);
  rl_prompt_source::check_sizes(read.read.rollouts, read.read.samples_per_prompt);
  join_ranks(options, context, out);
  read.reward_prompt = read_reward_prompt(options, "ppo");
  read.planned = read_parallel_plan(options, context);
  return read;
}

// The keys of all that is read from the section, with the defaults of both presets.
option_section ppo_section() {
  option_section out = section_options("ppo", ppo_training{});
  const auto add = [&](const auto&... defaults) { list_options(out.options, "ppo.", {}, defaults...); };
  add(ppo_stage_options{});
  const auto paper = ppo_preset(recipe_preset::paper), code = ppo_preset(recipe_preset::salmon_code);
  add(bonus_options::for_preset(recipe_preset::paper, paper.generation.max_new_tokens),
      bonus_options::for_preset(recipe_preset::salmon_code, code.generation.max_new_tokens));
  list_options(out.options, "ppo.evaluation.", {}, ppo_evaluation_settings{});
  list_options(out.options, "ppo.reward_prompt.", {}, reward_lengths::of("ppo"));
  for (auto& option : out.options)
    if (option.key == "ppo.adaptive_kl.initial")
      option.defaults = {"off (" + toml_text(paper.shaping.kl_coefficient) + ")",
                         "off (" + toml_text(code.shaping.kl_coefficient) + ")"};
  return out;
}

// The section `generation` with the defaults of both presets.
option_section ppo_generation_section() {
  option_section out{.name = "generation", .presets = {"paper", "salmon_code"}};
  list_options(out.options, "generation.", {"stop", "unfinished_stop"}, ppo_preset(recipe_preset::paper).generation,
               ppo_preset(recipe_preset::salmon_code).generation);
  list_options(out.options, "generation.", {}, engine_options{});
  return out;
}

// config_error where nothing is rewarded, and for keys of a guideline that no reward model reads.
void check_ppo(const config& section, const ppo_settings& settings) {
  section.check(settings.read.is_scored() || settings.bonus->rewards_language() || settings.bonus->rewards_length(),
                "reward_model",
                "given, unless ppo.language_bonus or ppo.length_bonus.coefficient is: there is nothing to learn from");
  const guideline_options& guideline = settings.read.guideline;
  for (const auto& [key, value] :
       {std::pair{"principles", &guideline.principles}, std::pair{"interventions", &guideline.interventions}})
    section.check(settings.read.is_scored() || value->empty(), key, "unset: it has no effect without a reward model");
}

/// The run of PPO: models, data, trainer, evaluation.
class ppo_run {
 public:
  ppo_run(ppo_settings& settings, std::filesystem::path out, stage_context& context)
      : settings_(settings),
        out_(std::move(out)),
        context_(context),
        model_(load_ppo_roles({.model = settings.planned.model,
                               .adapter = settings.planned.adapter,
                               .policy = settings.read.policy,
                               .reward_model = settings.read.reward_model,
                               .zero_value_head = settings.read.value_head == value_head_start::zero},
                              context)),
        prompts_(settings.prompting, model_),
        reward_(settings.read.is_scored() ? std::optional(make_reward_role(model_, "reward", settings.reward_prompt))
                                          : std::nullopt),
        source_(read_rl_prompts(settings.read.prompts, prompts_, context), prompts_, *settings.guidelines,
                settings.read.rollouts, settings.read.samples_per_prompt, context.seed),
        held_out_(evaluation_prompts(settings.evaluation, prompts_, *settings.guidelines,
                                     settings.read.prompts.long_ones, context)),
        policy_parameters_(model_.bank->train("policy")),
        value_parameters_(model_.bank->train("value")),
        policy_optimizer_(policy_parameters_, settings.training.optimizer),
        value_optimizer_(value_parameters_, settings.training.optimizer),
        sampling_{.temperature = settings.training.options.generation.temperature,
                  .banned = model_.banned_tokens(),
                  .end_tokens = prompts_.end_tokens(),
                  .token_texts = model_.token_texts(),
                  .entropy_gradient = settings.training.options.entropy_coefficient > 0,
                  .engine = settings.engine},
        policy_(*model_.bank, "policy", sampling_),
        reference_(*model_.bank, "reference", sampling_),
        value_(*model_.bank, "value"),
        cuts_said_(!reward_) {
    // Anything that can fail does so before an earlier run's checkpoints are removed.
    const bool goes_on = context.resume && latest_step(out_ / "checkpoints");  // a checkpoint knows the scale
    if (settings.training.normalization.from == normalization_from::reward_model && !goes_on)
      settings_.training.options.normalization =
          load_normalization(settings.read.reward_model, settings.training.options.normalization.clip);
    check_evaluation_files(settings.evaluation, out_);
  }

  void operator()() {
    process_group& ranks = *context_.ranks;
    const checkpoint_options& saves = settings_.read.checkpoints;
    training_checkpoints checkpoints(out_ / "checkpoints", saves.save_every, saves.keep, context_.ranks);
    checkpoints.add("policy", policy_parameters_, policy_optimizer_);
    checkpoints.add("value", value_parameters_, value_optimizer_);
    const auto saved = checkpoints.restore_or_clear(context_.resume);
    set_normalization(saved);

    auto reward = [&](std::span<const reward_query> queries) {
      return reward_ ? reward_->score(queries) : std::vector<double>(queries.size(), 0.0);
    };
    const auto decoder = [&](std::span<const token> tokens) { return prompts_.response_text(tokens); };
    ppo_trainer trainer{ppo_models{.policy = policy_,
                                   .reference = reference_,
                                   .value = value_,
                                   .reward = reward,
                                   .optimizer = policy_optimizer_,
                                   .value_optimizer = value_optimizer_,
                                   .decoder = decoder,
                                   .bonus = *settings_.bonus,
                                   .ranks = ranks},
                        settings_.training.options};
    if (saved) restore(trainer, *saved);
    const std::uint64_t first = trainer.save().step;
    reward_parts parts(settings_.training.options, *settings_.bonus, reward_.has_value());
    start_evaluation(parts, saved, first);

    training_loop loop(
        context_, checkpoints, out_, {.title = "ppo", .first = first, .steps = settings_.read.steps},
        [&](const ppo_statistics& s, metrics_log& log, progress& bar) { return describe(s, parts, log, bar); },
        [&] { return checkpoint_values(trainer); });
    rollout_board board(loop.log());
    ppo_ending ending({.steps = settings_.read.steps, .stop_kl = settings_.read.stop_kl},
                      evaluation_ ? &*evaluation_ : nullptr, loop.log(), context_,
                      [&](std::uint64_t done) { loop.stop_if_interrupted(done); });
    if (!ending.evaluate_and_check_stop(first, kl_))
      trainer.run([&](std::uint64_t step) { return rank_prompts(step); }, settings_.read.steps, parts, board, loop,
                  ending);
    loop.finish(out_.string(), [&] { save_role(model_, "policy", out_); });
  }

 private:
  // This rank's part of the prompts of a step.
  std::vector<rl_prompt> rank_prompts(std::uint64_t step) const {
    auto batch = source_(step);
    const index_range mine = range_of_rank(batch.size(), *context_.ranks);
    batch.erase(batch.begin() + static_cast<std::ptrdiff_t>(mine.end), batch.end());
    batch.erase(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(mine.begin));
    return batch;
  }

  // Mean and deviation of the scores: those of the checkpoint, or measured on the initial policy, or as given.
  void set_normalization(const std::optional<nlohmann::json>& saved) {
    normalize_options& scale = settings_.training.options.normalization;
    if (saved) {
      scale.mean = saved->at("normalization_mean").get<double>();
      scale.deviation = saved->at("normalization_deviation").get<double>();
    } else if (reward_ && settings_.training.normalization.from == normalization_from::initial_policy) {
      const double clip = scale.clip;
      scale = initial_scale({.policy = reference_,
                             .reward = *reward_,
                             .decoder = prompts_,
                             .source = source_,
                             .generation = settings_.training.options.generation},
                            settings_.training.normalization.samples, context_.seed, *context_.ranks);
      scale.clip = clip;
    }
  }

  // Continues from the values of a checkpoint.
  template <class Trainer>
  void restore(Trainer& trainer, const nlohmann::json& saved) {
    ppo_state state = trainer.save();
    state.step = saved.at("step").get<std::uint64_t>();
    state.seed = saved.value("seed", state.seed);
    state.kl.coefficient = saved.at("kl_coefficient").get<double>();
    trainer.restore(state);
    kl_ = saved.value("kl", 0.0);
  }

  // What a checkpoint holds besides weights and moments.
  template <class Trainer>
  nlohmann::json checkpoint_values(const Trainer& trainer) const {
    return {{"step", trainer.save().step},
            {"kl", kl_},
            {"kl_coefficient", trainer.kl_coefficient()},
            {"seed", settings_.training.options.seed},
            {"normalization_mean", settings_.training.options.normalization.mean},
            {"normalization_deviation", settings_.training.options.normalization.deviation},
            {"evaluations", evaluation_ ? evaluation_->save() : nlohmann::json::array()}};
  }

  // Removes the results of an abandoned run from step `first` on, and continues those of a checkpoint.
  void start_evaluation(const reward_parts& parts, const std::optional<nlohmann::json>& saved, std::uint64_t first) {
    if (settings_.evaluation.enabled()) {
      evaluation_.emplace(settings_.evaluation, held_out_,
                          evaluation_inputs{.model = model_,
                                            .reward = reward_ ? &*reward_ : nullptr,
                                            .prompts = prompts_,
                                            .rewards = parts,
                                            .guidelines = *settings_.guidelines,
                                            .sampling = sampling_,
                                            .generation = settings_.training.options.generation,
                                            .limits = settings_.training.options.scoring_batch},
                          out_, context_);
      if (saved) evaluation_->restore(saved->value("evaluations", nlohmann::json::array()));
    }
    if (context_.ranks->first()) remove_evaluations(out_, first);
  }

  std::string describe(const ppo_statistics& s, const reward_parts& parts, metrics_log& log, progress& bar) {
    kl_ = s.kl_sequence;
    if (!cuts_said_) cuts_said_ = log_cuts(*reward_, "ppo", context_);
    return log_ppo_step(s, parts, log, bar, *context_.ranks);
  }

  ppo_settings& settings_;
  std::filesystem::path out_;
  stage_context& context_;
  loaded_model model_;
  prompter prompts_;
  std::optional<reward_role> reward_;
  rl_prompt_source source_;
  std::vector<rl_prompt> held_out_;
  parameter_set &policy_parameters_, &value_parameters_;
  adamw policy_optimizer_, value_optimizer_;
  policy_role_options sampling_;
  policy_role policy_, reference_;
  value_role value_;
  std::optional<ppo_evaluation> evaluation_;
  bool cuts_said_;
  double kl_ = 0;  ///< of the last rollouts
};

class ppo_stage : public stage {
 public:
  ppo_stage(const config& options, stage_context& context)
      : out_(context.out_or("ppo")), settings_(read_ppo_settings(options, context, out_)) {}

  void check(const config& options, stage_context&) override {
    check_output_folder(out_, {settings_.planned.model.path, settings_.read.policy, settings_.read.reward_model});
    check_output_folder(out_ / "best", {settings_.read.policy, settings_.read.reward_model});
    check_ppo(options.section("ppo"), settings_);
  }

  std::function<std::string()> plan(const config&, const stage_context&) const override {
    return stage_planner(settings_.planned, ppo_workload{.policy = settings_.read.policy,
                                                         .reward_model = settings_.read.reward_model,
                                                         .options = settings_.training.options,
                                                         .rollouts = settings_.read.rollouts,
                                                         .prompt_tokens = settings_.prompting.max_tokens,
                                                         .moments = settings_.training.optimizer.moments,
                                                         .engine = settings_.engine,
                                                         .reward_limits = settings_.reward_prompt.limits,
                                                         .evaluates = settings_.evaluation.enabled()});
  }

  bool finished(stage_context& context) const override { return finished_before(context, out_); }
  std::filesystem::path folder() const override { return out_; }
  void load(const config&, stage_context& context) override { run_.emplace(settings_, out_, context); }
  void run(stage_context&) override { (*run_)(); }

 private:
  std::filesystem::path out_;
  ppo_settings settings_;
  std::optional<ppo_run> run_;
};

}  // namespace

void run_ppo(const config& options, stage_context& context) { run_stage<ppo_stage>(options, context); }

subcommand make_ppo_command() {
  return {
      .name = "ppo",
      .help = "train a policy against a reward model under principles",
      .run = run_ppo,
      .flags = {{"--model", "model.path"},
                random_weights_flag(),
                {"--policy", "ppo.policy"},
                {"--reward-model", "ppo.reward_model"},
                {"--prompts", "ppo.prompts"},
                {"--principles", "ppo.principles", "file of principles, or a shipped one: reinforcement, reward_model"},
                {"--interventions", "ppo.interventions", "file of interventions, or a shipped one: interventions"},
                {"--steps", "ppo.steps", "PPO steps"}},
      .options = {model_section(), ppo_section(), section_options("reward_prompt", reward_prompt_options{}),
                  ppo_generation_section(), section_options("prompt", prompt_options{}),
                  section_options("adapter", adapter_settings{}), section_options("plan", plan_options{}),
                  section_options("distributed", distributed_options{})},
      .parallel = true};
}

}  // namespace coho::trainer
