#include "evaluation/ppo_evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include <coho/error.hpp>
#include <coho/parallel/detail/serialization.hpp>
#include <coho/train/steps/gather_rollouts.hpp>
#include <coho/train/steps/model_outputs.hpp>
#include <coho/train/steps/sample_and_score.hpp>

#include "files/json_file.hpp"
#include "observe/format.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// Independent of the run's seed, so that runs of several seeds are compared on the same draws.
rng evaluation_rng() { return rng(stream_key("evaluation")); }

constexpr const char* about_file = "evaluation.json";  // of best/: which step that was

// Throws for a path that exists unless it is `ours`: `coho sample` names its file samples.jsonl too, and a folder
// "best" may be anyone's.
void refuse_foreign(bool ours, const fs::path& path) {
  if (fs::exists(path) && !ours)
    throw file_error(path.string(), "", "was written by no evaluation, and this run would replace it",
                     "move it, or give another output folder");
}

// The options of training with the evaluation's temperature; greedy sampling scores with training's.
policy_role_options with_temperature(policy_role_options sampling, double temperature) {
  if (temperature > 0) sampling.temperature = temperature;
  return sampling;
}

// Saves the policy to a folder that is complete once it has its name.
void save_policy_atomically(loaded_model& model, const fs::path& folder, const nlohmann::json& about) {
  const fs::path building = fs::path(folder) += ".unfinished";
  fs::remove_all(building);
  save_role(model, "policy", building);
  write_json(building / about_file, about);
  fs::remove_all(folder);
  std::error_code problem;
  fs::rename(building, folder, problem);
  if (problem) throw file_error(folder.string(), "", "cannot be given its name: " + problem.message());
}

}  // namespace

// One response and what was measured of it.
struct ppo_evaluation::measured {
  std::size_t prompt = 0;
  std::string response{};
  std::size_t length = 0;  // tokens
  double score = 0, reward = 0, kl = 0;
  bool finished = true, empty = false, language_match = false;
  std::vector<double>
      definition_scores{};  // one per principle and intervention; none after the first principle_prompts

  // Calls visit(member) for each, as ranks exchange them.
  static void for_each_field(auto& of, auto&& visit) {
    auto& [prompt, response, length, score, reward, kl, finished, empty, language_match, definition_scores] = of;
    visit(prompt), visit(response), visit(length), visit(score), visit(reward), visit(kl), visit(finished);
    visit(empty), visit(language_match), visit(definition_scores);
  }
};

std::vector<rl_prompt> evaluation_prompts(const ppo_evaluation_settings& settings, const prompter& prompts,
                                          const guideline_source& guidelines, long_prompts long_ones,
                                          stage_context& context) {
  std::vector<rl_prompt> out;
  if (!settings.enabled()) return out;
  const rng random = evaluation_rng().split(stream_key("guideline"));
  const rl_prompt_options file{settings.prompts, settings.columns, long_ones};
  for (const auto& record : read_rl_prompts(file, prompts, context, settings.limit))
    out.push_back(to_rl_prompt(record, prompts, guidelines(record.type, random, out.size()), out.size()));
  return out;
}

void check_evaluation_files(const ppo_evaluation_settings& settings, const fs::path& out) {
  if (!settings.enabled()) return;
  refuse_foreign(is_samples_file(out / "samples.jsonl"), out / "samples.jsonl");
  if (settings.keep_best) refuse_foreign(fs::exists(out / "best" / about_file), out / "best");
}

void remove_evaluations(const fs::path& out, std::uint64_t step) {
  if (is_samples_file(out / "samples.jsonl")) write_samples(out / "samples.jsonl", step, {});
  if (step == 0 && fs::exists(out / "best" / about_file)) fs::remove_all(out / "best");
}

ppo_evaluation::ppo_evaluation(ppo_evaluation_settings settings, std::vector<rl_prompt> prompts,
                               const evaluation_inputs& training, fs::path out, stage_context& context)
    : settings_(std::move(settings)),
      prompts_(std::move(prompts)),
      model_(training.model),
      reward_(training.reward),
      prompter_(training.prompts),
      rewards_(training.rewards),
      generation_(training.generation),
      limits_(training.limits),
      policy_(*model_.bank, "policy", with_temperature(training.sampling, settings_.temperature)),
      reference_(*model_.bank, "reference", with_temperature(training.sampling, settings_.temperature)),
      out_(std::move(out)),
      context_(context) {
  generation_.temperature = settings_.temperature;
  generation_.max_new_tokens = settings_.max_new_tokens;
  settings_.principle_prompts = std::min(settings_.principle_prompts, prompts_.size());
  if (reward_ == nullptr || settings_.principle_prompts == 0) return;
  for (const auto& one : training.guidelines.principles())
    definitions_.emplace_back("eval/principle/" + one.name, one.definition);
  for (const auto& one : training.guidelines.interventions().active())
    definitions_.emplace_back("eval/intervention/" + one.name, one.text);
}

// Shard by shard: batches through the models then do not depend on the number of ranks.
std::vector<std::uint8_t> ppo_evaluation::measure(index_range mine, std::size_t shards) {
  coho::detail::rank_message_writer bytes;
  for (std::size_t shard = mine.begin; shard < mine.end; ++shard)
    for (const measured& one : measure_shard(shard, shards))
      measured::for_each_field(one, coho::detail::write_field{bytes});
  return bytes.bytes();
}

std::vector<ppo_evaluation::measured> ppo_evaluation::measure_shard(std::size_t shard, std::size_t shards) {
  std::vector<measured> out;
  std::vector<rl_prompt> prompts;
  for (std::size_t i = shard; i < prompts_.size(); i += shards) {
    out.push_back({.prompt = i});
    prompts.push_back(prompts_[i]);
  }
  if (out.empty()) return out;
  const auto reward = [&](std::span<const reward_query> queries) {
    return reward_ != nullptr ? reward_->score(queries) : std::vector<double>(queries.size(), 0.0);
  };
  const auto decode = [&](std::span<const token> response) { return prompter_.response_text(response); };
  const trajectory_batch rollouts = sample_and_score(
      scoring_models{.policy = policy_, .reward = reward, .decoder = decode}, prompts, generation_, evaluation_rng());
  const token_batch& batch = rollouts.batch;
  const Eigen::ArrayXd difference = evaluate_log_probs(policy_, batch, limits_, "log_probs of the policy") -
                                    evaluate_log_probs(reference_, batch, limits_, "log_probs of the reference policy");
  for (std::size_t k = 0; k < out.size(); ++k) {
    const reward_query query = rollouts.query(k);
    measured& one = out[k];
    one.response = rollouts.response_texts[k];
    one.length = batch.responses.length(k);
    one.score = rollouts.model_scores(static_cast<Eigen::Index>(k));
    one.reward = rewards_.breakdown(query, one.score).earned();
    one.kl =
        difference.segment(static_cast<Eigen::Index>(batch.responses.offsets[k]), static_cast<Eigen::Index>(one.length))
            .sum();
    one.finished = query.finished;
    one.empty = rollouts.empty[k] != 0;
    one.language_match = rewards_.bonus().same_language(query);
  }
  score_principles(out);
  return out;
}

void ppo_evaluation::score_principles(std::span<measured> responses) const {
  std::vector<std::vector<std::string>> guidelines;
  for (const auto& line : definitions_) guidelines.push_back({line.second});
  std::vector<reward_query> queries;
  for (const measured& one : responses) {
    if (one.prompt >= settings_.principle_prompts) break;
    for (const auto& guideline : guidelines)
      queries.push_back({.prompt = prompts_[one.prompt].text, .response = one.response, .principles = guideline});
  }
  if (queries.empty()) return;
  const auto scores = reward_->score(queries);
  const auto lines = static_cast<std::ptrdiff_t>(definitions_.size());
  for (auto from = scores.begin(); from != scores.end(); from += lines)
    responses[static_cast<std::size_t>((from - scores.begin()) / lines)].definition_scores.assign(from, from + lines);
}

std::vector<ppo_evaluation::measured> ppo_evaluation::merge_in_prompt_order(
    std::span<const std::vector<std::uint8_t>> of_ranks) const {
  std::vector<measured> out;
  for (const auto& bytes : of_ranks) {
    coho::detail::rank_message_reader reader(bytes);
    while (!reader.at_end()) measured::for_each_field(out.emplace_back(), coho::detail::read_field{reader});
  }
  std::ranges::sort(out, {}, &measured::prompt);
  return out;
}

// An empty response earns as much as the evaluation's worst answer, as in training.
void ppo_evaluation::complete_rewards(std::span<measured> all) const {
  std::vector<double> sums;
  std::vector<std::uint8_t> ended, blank;
  for (const auto& one : all) {
    sums.push_back(one.reward);
    ended.push_back(one.finished);
    blank.push_back(one.empty);
  }
  const auto rewards = rewards_.total_rewards(sums, ended, blank);
  for (std::size_t i = 0; i < all.size(); ++i) all[i].reward = rewards[i];
}

void ppo_evaluation::log_means(std::uint64_t step, std::span<const measured> all, const std::string& suffix,
                               metrics_log& log) const {
  const auto mean = [&](const char* name, auto value) {
    double sum = 0;
    for (const auto& one : all) sum += static_cast<double>(value(one));
    log.add_scalar(std::string("eval/") + name + suffix, static_cast<std::int64_t>(step),
                   sum / static_cast<double>(all.size()));
  };
  mean("reward", [](const measured& m) { return m.reward; });
  if (reward_ != nullptr) mean("score", [](const measured& m) { return m.score; });
  mean("length", [](const measured& m) { return m.length; });
  mean("unfinished", [](const measured& m) { return !m.finished; });
  mean("empty", [](const measured& m) { return m.empty; });
  mean("kl", [](const measured& m) { return m.kl; });
  mean("language_match", [](const measured& m) { return m.language_match; });
}

void ppo_evaluation::record_results(std::uint64_t step, const std::vector<std::vector<std::uint8_t>>& of_ranks,
                                    metrics_log& log, bool writes, progress::clock::time_point start) {
  const auto at = static_cast<std::int64_t>(step);
  std::vector<measured> all = merge_in_prompt_order(of_ranks);
  complete_rewards(all);
  log_means(step, all, "", log);
  std::set<prompt_type> types;
  for (const auto& prompt : prompts_) types.insert(prompt.type);
  for (const auto type : types) {
    if (types.size() == 1) break;
    std::vector<measured> of_type;
    std::ranges::copy_if(all, std::back_inserter(of_type),
                         [&](const measured& m) { return prompts_[m.prompt].type == type; });
    log_means(step, of_type, "/" + std::string(name_of(type)), log);
  }
  for (std::size_t p = 0; p < definitions_.size(); ++p) {
    double sum = 0;
    for (const auto& one : std::span(all).first(settings_.principle_prompts)) sum += one.definition_scores[p];
    log.add_scalar(definitions_[p].first, at, sum / static_cast<double>(settings_.principle_prompts));
  }
  const auto last = [&](const char* name) { return log.find(name).back().second; };
  const double mean_reward = last("eval/reward");
  // A resumed run repeats the evaluation of its first step.
  std::erase_if(history_, [&](const auto& one) { return one.first >= step; });
  const double so_far = best().second;
  const bool better = history_.empty() || mean_reward > so_far || (std::isnan(so_far) && !std::isnan(mean_reward));
  history_.emplace_back(step, mean_reward);
  if (!writes) return;

  std::vector<evaluation_sample> samples;
  for (std::size_t i = 0; i < all.size(); ++i)
    samples.push_back({.step = step,
                       .prompt = prompts_[i].text,
                       .type = prompts_[i].type,
                       .response = all[i].response,
                       .score = all[i].score,
                       .finished = all[i].finished,
                       .language_match = all[i].language_match});
  write_samples(out_ / "samples.jsonl", step, samples);
  const auto shown = std::span(samples).first(std::min(settings_.samples, samples.size()));
  if (!shown.empty()) log.add_text("eval/samples", at, samples_markdown(shown));
  log.add_scalar("eval/seconds", at, std::chrono::duration<double>(progress::clock::now() - start).count());
  log.flush();
  std::string text = "evaluation at step " + std::to_string(step) + ": reward " + format_number(mean_reward, 3) +
                     (better ? " (the best so far)" : "") + ", kl " + format_number(last("eval/kl"), 2) + ", length " +
                     format_number(last("eval/length"), 1) + ", unfinished " +
                     format_number(100 * last("eval/unfinished"), 1) + " %, empty " +
                     format_number(100 * last("eval/empty"), 1) + " %, language " +
                     format_number(100 * last("eval/language_match"), 1) + " %";
  if (!shown.empty()) text += "\n" + samples_table(shown);
  while (text.ends_with('\n')) text.pop_back();
  context_.log(text);
  if (better && settings_.keep_best) save_best(step, mean_reward);
}

void ppo_evaluation::save_best(std::uint64_t step, double mean_reward) {
  save_policy_atomically(model_, out_ / "best", {{"step", step}, {"reward", mean_reward}});
  context_.log((out_ / "best").string() + ": the policy at step " + std::to_string(step) + ", reward " +
               format_number(mean_reward, 3));
}

std::pair<std::uint64_t, double> ppo_evaluation::best() const {
  std::pair<std::uint64_t, double> out{0, std::numeric_limits<double>::quiet_NaN()};
  for (const auto& one : history_)
    if (one.second > out.second || (std::isnan(out.second) && !std::isnan(one.second))) out = one;
  return out;
}

bool ppo_evaluation::is_out_of_patience() const {
  if (settings_.patience == 0 || history_.empty()) return false;
  const auto after = std::ranges::count_if(history_, [&](const auto& one) { return one.first > best().first; });
  return static_cast<std::uint64_t>(after) >= settings_.patience;
}

nlohmann::json ppo_evaluation::save() const {
  nlohmann::json out = nlohmann::json::array();
  for (const auto& [step, mean_reward] : history_) out.push_back({step, mean_reward});
  return out;
}

void ppo_evaluation::restore(const nlohmann::json& saved) {
  history_.clear();
  // JSON has no NaN: it was written as null.
  for (const auto& one : saved)
    history_.emplace_back(one.at(0).get<std::uint64_t>(),
                          one.at(1).is_null() ? std::numeric_limits<double>::quiet_NaN() : one.at(1).get<double>());
}

}  // namespace coho::trainer
