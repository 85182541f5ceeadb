#include "stages/ppo_settings.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include <coho/error.hpp>
#include <nlohmann/json.hpp>

#include "data/principle_file.hpp"
#include "files/data_files.hpp"
#include "stages/training_run.hpp"

namespace coho::trainer {
namespace {

kl_estimator estimator_by_name(const config& section, kl_estimator preset) {
  const std::string fallback = preset == kl_estimator::k1_clamped ? "k1_clamped" : "k1";
  const std::string name = section.choice("kl_estimator", fallback, {"k1", "k2", "k3", "absolute", "k1_clamped"});
  return name == "k1"         ? kl_estimator::k1
         : name == "k2"       ? kl_estimator::k2
         : name == "k3"       ? kl_estimator::k3
         : name == "absolute" ? kl_estimator::absolute
                              : kl_estimator::k1_clamped;
}

// The released code ends a response there as well, as one that is not finished.
std::vector<std::string> read_unfinished_stops(const config& section) {
  using texts = std::vector<std::string>;
  const bool code = section.get<std::string>("preset", "paper") == "salmon_code";
  auto out = section.get<texts>("unfinished_stops", code ? texts{"\nNote", "\nUpdate", "\nComment", "###"} : texts{});
  for (const auto& stop : out) section.check(!stop.empty(), "unfinished_stops", "a list of texts that are not empty");
  return out;
}

}  // namespace

ppo_options read_ppo_options(const config& options, const stage_context& context, const std::vector<std::string>& stop,
                             std::uint64_t steps) {
  const config section = options.section("ppo");
  ppo_options out = section.choice("preset", "paper", {"paper", "salmon_code"}) == "paper" ? ppo_options::paper()
                                                                                           : ppo_options::salmon_code();
  out.seed = context.seed;
  out.generation = read_generation(options, stop, out.generation);
  out.generation.unfinished_stop = read_unfinished_stops(section);
  out.shaping.kl_coefficient = section.get<double>("kl_coefficient", out.shaping.kl_coefficient);
  out.shaping.estimator = estimator_by_name(section, out.shaping.estimator);
  out.shaping.kl_clip = section.get<double>("kl_clip", out.shaping.kl_clip);
  out.shaping.unfinished_penalty = section.get<double>("unfinished_penalty", out.shaping.unfinished_penalty);
  out.shaping.scale = section.get<double>("reward_scale", out.shaping.scale);
  out.shaping.whiten = section.get<bool>("whiten_rewards", out.shaping.whiten);
  if (section.choice("unfinished_mode", "add", {"add", "replace"}) == "replace")
    out.shaping.unfinished = unfinished_mode::replace;
  const bool lowest = out.empty_responses == empty_response_rule::lowest;
  out.empty_responses =
      section.choice("empty_responses", lowest ? "lowest" : "scored", {"lowest", "scored"}) == "lowest"
          ? empty_response_rule::lowest
          : empty_response_rule::scored;
  const double target = section.get<double>("adaptive_kl_target", 0.0);
  if (target > 0)
    out.adaptive_kl = adaptive_kl_options{.initial = out.shaping.kl_coefficient,
                                          .target = target,
                                          .horizon = section.get<double>("adaptive_kl_horizon", 10000.0)};
  out.gae.gamma = section.get<double>("gamma", out.gae.gamma);
  out.gae.lambda = section.get<double>("lambda", out.gae.lambda);
  out.whiten_advantages = section.get<bool>("whiten_advantages", out.whiten_advantages);
  out.minibatch_size = section.get<std::size_t>("minibatch_size", out.minibatch_size);
  out.epochs = section.get<std::uint64_t>("epochs", out.epochs);
  out.policy_clip.clip_low = section.get<double>("clip_low", out.policy_clip.clip_low);
  out.policy_clip.clip_high = section.get<double>("clip_high", out.policy_clip.clip_high);
  out.value_clip.clip = section.get<double>("value_clip", out.value_clip.clip);
  out.value_coefficient = section.get<double>("value_coefficient", out.value_coefficient);
  out.entropy_coefficient = section.get<double>("entropy_coefficient", out.entropy_coefficient);
  out.gradient_norm_clip = section.get<double>("gradient_norm_clip", out.gradient_norm_clip);
  out.joint_gradient_norm = section.get<bool>("joint_gradient_norm", out.joint_gradient_norm);
  out.learning_rate = read_learning_rate(section, out.learning_rate.peak, steps,
                                         out.learning_rate.kind == schedule_kind::cosine ? "cosine" : "constant",
                                         static_cast<double>(out.learning_rate.warmup_steps));
  out.value_learning_rate_factor = section.get<double>("value_learning_rate_factor", out.value_learning_rate_factor);
  out.value_warmup_steps = section.get<std::uint64_t>("value_warmup_steps", out.value_warmup_steps);
  out.target_kl = section.get<double>("target_kl", out.target_kl);
  if (section.choice("old_log_probs", "recomputed", {"recomputed", "recorded"}) == "recorded")
    out.old_log_probs = old_log_prob_source::recorded;
  out.scoring_batch = {
      .sequences = 0, .tokens = section.get<std::size_t>("scoring_tokens", 16384), .sort_by_length = true};
  out.micro_batch = {
      .sequences = 0, .tokens = section.get<std::size_t>("micro_batch_tokens", 16384), .sort_by_length = true};
  out.validate();
  return out;
}

guideline_source::guideline_source(const config& section, bool rehearsal) {
  const auto interventions = section.get<std::filesystem::path>("interventions", {});
  const auto names = section.get<std::vector<std::string>>("use_interventions", {});
  if (!interventions.empty() && !(rehearsal && not_there(principle_file(interventions)))) {
    interventions_ = load_interventions(principle_file(interventions));
    if (!names.empty()) {
      intervention_set chosen = interventions_.none();
      for (const auto& name : names) chosen = chosen.with(name);
      interventions_ = chosen;
    }
  }
  const auto path = section.get<std::filesystem::path>("principles", {});
  const auto count = section.get<std::size_t>("principles_per_prompt", 3);
  const std::string where = section.choice("intervention_position", "first", {"first", "last", "shuffled"});
  const auto position = where == "first"  ? intervention_position::first
                        : where == "last" ? intervention_position::last
                                          : intervention_position::shuffled;
  if (path.empty() || (rehearsal && not_there(principle_file(path)))) return;
  composer_.emplace(principle_sampler(load_principles(principle_file(path)), {.count = count}), interventions_,
                    position);
}

std::vector<std::string> guideline_source::operator()(prompt_type type, const rng& step,
                                                      std::uint64_t prompt_key) const {
  if (composer_) return (*composer_)(type, step, prompt_key);
  rng random = step.split(prompt_key);
  return compose_guideline(interventions_, std::vector<std::string>{}, intervention_position::first, random);
}

std::vector<prompt_record> within_limit(std::vector<prompt_record> records, const prompter& prompts, bool drop,
                                        const std::filesystem::path& file, stage_context& context) {
  const std::size_t all = records.size();
  const auto is_long = [&](const prompt_record& record) { return !prompts.fits(record.messages()); };
  const auto count =
      static_cast<std::size_t>(drop ? std::erase_if(records, is_long) : std::ranges::count_if(records, is_long));
  const std::string limit = "prompt.max_tokens = " + std::to_string(prompts.max_tokens());
  if (records.empty())
    throw file_error(file.string(), "", "each of its " + std::to_string(all) + " prompts is longer than " + limit,
                     "raise it, or set ppo.long_prompts = \"cut\"");
  if (count > 0)
    context.log("note: " + std::to_string(count) + " of " + std::to_string(all) + " prompts of " + file.string() +
                " are longer than " + limit + " with the words around them, and " +
                (drop ? "are left out" : "lose their beginning"));
  return records;
}

rl_prompt to_rl_prompt(const prompt_record& record, const prompter& prompts, std::vector<std::string> guideline,
                       std::uint64_t key) {
  return {.tokens = prompts.tokens(record.messages()),
          .text = record.text(),
          .type = static_cast<int>(record.kind),
          .length_multiplier = record.length_bonus.value_or(1.0),
          .principles = std::move(guideline),
          .key = key};
}

rl_prompt_source::rl_prompt_source(std::vector<prompt_record> records, const prompter& prompts,
                                   guideline_source guidelines, std::size_t rollouts, std::size_t samples_per_prompt,
                                   std::uint64_t seed)
    : records_(std::move(records)),
      prompts_(&prompts),
      guidelines_(std::move(guidelines)),
      rollouts_(rollouts),
      samples_(samples_per_prompt),
      random_(rng(seed).split(stream_key("rl prompts"))) {
  check(rollouts_, samples_);
}

void rl_prompt_source::check(std::size_t rollouts, std::size_t samples) {
  require_option(samples > 0, "ppo.samples_per_prompt", samples, "at least 1");
  require_option(rollouts > 0 && rollouts % samples == 0, "ppo.rollouts", rollouts,
                 "at least 1 and a multiple of ppo.samples_per_prompt");
}

std::vector<rl_prompt> rl_prompt_source::operator()(std::uint64_t step) const {
  const std::size_t prompts_a_step = rollouts_ / samples_;
  std::vector<rl_prompt> out;
  std::vector<std::size_t> order(records_.size());
  std::uint64_t shuffled = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t k = 0; k < prompts_a_step; ++k) {
    const std::uint64_t position = step * prompts_a_step + k, pass = position / records_.size();
    if (pass != shuffled) {
      std::iota(order.begin(), order.end(), std::size_t{0});
      rng random = random_.split(pass);
      random.shuffle(order);
      shuffled = pass;
    }
    const prompt_record& record = records_[order[position % records_.size()]];
    const auto type = static_cast<prompt_type>(record.kind);
    const auto lines = guidelines_(type, random_.split(stream_key("guideline")).split(step), k);
    for (std::size_t s = 0; s < samples_; ++s) out.push_back(to_rl_prompt(record, *prompts_, lines, k * samples_ + s));
  }
  return out;
}

}  // namespace coho::trainer
