#include "settings/ppo_settings.hpp"

#include <algorithm>

#include <coho/error.hpp>

#include "settings/generation_settings.hpp"
#include "settings/optimizer_settings.hpp"

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

}  // namespace coho::trainer
