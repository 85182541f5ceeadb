#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <coho/concepts.hpp>
#include <coho/parallel/all_gather.hpp>
#include <coho/parallel/shards.hpp>
#include <coho/rollout/micro_batch.hpp>
#include <coho/rollout/minibatch.hpp>
#include <coho/rollout/trajectory.hpp>

#include "evaluation/evaluation_samples.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "observe/metrics_log.hpp"
#include "roles/policy_role.hpp"
#include "roles/reward_role.hpp"
#include "rollouts/reward_parts.hpp"
#include "rollouts/rl_prompts.hpp"
#include "run/stage_context.hpp"
#include "settings/ppo_evaluation_settings.hpp"

namespace coho::trainer {

/// The held-out prompts, each with the guideline that its responses are scored under in all evaluations; none without
/// ppo.evaluation.prompts. `long_ones`: those over prompt.max_tokens. Throws file_error.
std::vector<rl_prompt> evaluation_prompts(const ppo_evaluation_settings& settings, const prompter& prompts,
                                          const guideline_source& guidelines, long_prompts long_ones,
                                          stage_context& context);

/// Removes an abandoned run's evaluation results from its folder at or after a step: samples, and with step 0 best/.
/// Files and folders of those names that no evaluation wrote stay.
void remove_evaluations(const std::filesystem::path& out, std::uint64_t step);

/// Throws file_error where `out` holds a samples.jsonl or best/ that no evaluation wrote and this run's would replace.
/// Call before anything in `out` is changed.
void check_evaluation_files(const ppo_evaluation_settings& settings, const std::filesystem::path& out);

/// What an evaluation uses of the training that it measures; the first four must outlive it.
struct evaluation_inputs {
  loaded_model& model;  ///< with the roles "policy" and "reference"
  reward_role* reward;  ///< null: symbolic rewards only
  const prompter& prompts;
  const reward_parts& rewards;
  const guideline_source& guidelines;
  const policy_role_options& sampling;
  const generation_options& generation;
  const batch_limits& limits;
};

/// Measures a policy on held-out prompts during training. Random numbers are the same in all evaluations and runs,
/// and none of training's are used: a run trains the same with and without it.
///
///     ppo_evaluation evaluation(settings, held_out, training, out, context);
///     if (evaluation.is_due(step, last)) evaluation.run(step, log);
class ppo_evaluation {
 public:
  /// `prompts`: those of `evaluation_prompts`; `out`: the run's folder.
  ppo_evaluation(ppo_evaluation_settings settings, std::vector<rl_prompt> prompts, const evaluation_inputs& training,
                 std::filesystem::path out, stage_context& context);

  /// Whether to evaluate after that many updates; `last`: they are the last.
  bool is_due(std::uint64_t step, bool last) const {
    return step == 0 || last || (settings_.every > 0 && step % settings_.every == 0);
  }

  /// Answers all prompts, each rank its shards; the first rank writes: measures as eval/… into the log, the
  /// responses into samples.jsonl, and the policy into best/ when its reward is the best so far. All ranks call
  /// together.
  template <communicator Communicator = const local_communicator>
  void run(std::uint64_t step, metrics_log& log, Communicator&& ranks = local_communicator{}) {
    const auto start = progress::clock::now();
    const auto mine = measure(shards_of_rank(ranks), shard_count(ranks));
    record_results(step, all_gather(std::span(mine), ranks), log, ranks.rank() == 0, start);
  }

  /// Whether patience is exhausted and the run must end.
  bool is_out_of_patience() const;
  /// Step and reward of the best evaluation so far; reward NaN before the first.
  std::pair<std::uint64_t, double> best() const;

  /// Step and reward of the evaluations so far: for checkpoints, since the best result and patience depend on them.
  nlohmann::json save() const;
  /// Restores what `save` returned.
  void restore(const nlohmann::json& saved);

 private:
  struct measured;

  /// The responses of this rank's shards, measured, as bytes for the other ranks.
  std::vector<std::uint8_t> measure(index_range mine, std::size_t shards);
  // Samples, scores and measures the responses to one shard of the prompts.
  std::vector<measured> measure_shard(std::size_t shard, std::size_t shards);
  // Fills the scores under each principle and intervention by itself.
  void score_principles(std::span<measured> responses) const;
  // Reads the bytes of all ranks.
  std::vector<measured> merge_in_prompt_order(std::span<const std::vector<std::uint8_t>> of_ranks) const;
  // Replaces the sums of rewards' parts with whole rewards.
  void complete_rewards(std::span<measured> all) const;
  // Logs the means on every rank, since the best result depends on them; with `writes` also writes samples and best/.
  void record_results(std::uint64_t step, const std::vector<std::vector<std::uint8_t>>& of_ranks, metrics_log& log,
                      bool writes, progress::clock::time_point start);
  // Logs eval/NAME plus suffix for each measure.
  void log_means(std::uint64_t step, std::span<const measured> all, const std::string& suffix, metrics_log& log) const;
  // Saves the policy as best/.
  void save_best(std::uint64_t step, double reward);

  ppo_evaluation_settings settings_;
  std::vector<rl_prompt> prompts_;
  /// Metric and text of everything scored separately: the principles, then the enabled interventions.
  std::vector<std::pair<std::string, std::string>> definitions_;
  loaded_model& model_;
  reward_role* reward_;
  const prompter& prompter_;
  const reward_parts& rewards_;
  generation_options generation_;
  batch_limits limits_;
  policy_role policy_, reference_;
  std::filesystem::path out_;
  stage_context& context_;
  std::vector<std::pair<std::uint64_t, double>> history_;  ///< step and reward
};

}  // namespace coho::trainer
