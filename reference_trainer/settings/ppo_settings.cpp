#include "settings/ppo_settings.hpp"

#include "config/read_options.hpp"
#include "settings/generation_settings.hpp"

namespace coho::trainer {
namespace {

// The options that the library ignores in silence where a preset, not the user, set them.
void refuse_unused_options(const config& section, const ppo_options& given, const ppo_options& preset) {
  if (!given.whiten_advantages)
    refuse_unused(section, "advantage_whitening", given.advantage_whitening, preset.advantage_whitening,
                  "while whiten_advantages is false");
  if (!given.shaping.whiten)
    refuse_unused(section, "shaping.whitening", given.shaping.whitening, preset.shaping.whitening,
                  "while shaping.whiten is false");
  section.check(!given.shaping.whiten || given.shaping.scale == preset.shaping.scale, "shaping.scale",
                "left out while shaping.whiten is true, where it has no effect");
  section.check(!given.adaptive_kl || given.shaping.kl_coefficient == preset.shaping.kl_coefficient,
                "shaping.kl_coefficient", "left out where adaptive_kl is given: adaptive_kl.initial is its β");
}

}  // namespace

ppo_options ppo_preset(recipe_preset preset) {
  ppo_options out = preset == recipe_preset::salmon_code ? ppo_options::salmon_code() : ppo_options::paper();
  out.scoring_batch = out.micro_batch = {.tokens = 16384, .sort_by_length = true};
  return out;
}

ppo_training ppo_training::of(recipe_preset preset) {
  ppo_training out{.preset = preset, .options = ppo_preset(preset)};
  out.learning_rate = recipe_learning_rate::from_options(out.options.learning_rate);
  // The released code ends a response there as well, as one that is not finished.
  if (preset == recipe_preset::salmon_code) out.unfinished_stops = {"\nNote", "\nUpdate", "\nComment", "###"};
  return out;
}

ppo_training read_ppo_training(const config& options, const stage_context& context,
                               const std::vector<std::string>& stop, std::uint64_t steps) {
  const config section = options.section("ppo");
  ppo_training out = read_preset<ppo_training>(section);
  const ppo_options preset = out.options;
  if (section.has("adaptive_kl"))
    out.options.adaptive_kl = adaptive_kl_options{.initial = preset.shaping.kl_coefficient};
  read_only(section, out, {"normalization.samples"});
  if (out.normalization.samples > 0) out.normalization.from = normalization_from::initial_policy;
  read_options(section, out);
  refuse_unused(section, "normalization.samples",
                out.normalization.samples > 0 && out.normalization.from != normalization_from::initial_policy,
                "normalization.from", "unless normalization.from is initial_policy");
  for (const auto& text : out.unfinished_stops)
    section.check(!text.empty(), "unfinished_stops", "a list of texts that are not empty");
  refuse_unused_options(section, out.options, preset);
  out.options.seed = context.seed;
  out.options.generation = read_generation(options, stop, preset.generation);
  out.options.generation.unfinished_stop = out.unfinished_stops;
  out.options.learning_rate = out.learning_rate.for_steps(steps);
  if (out.options.adaptive_kl) out.options.shaping.kl_coefficient = out.options.adaptive_kl->initial;
  out.options.validate();
  return out;
}

void check_normalization(const config& section, const ppo_training& training, bool has_reward_model) {
  const normalization_source& source = training.normalization;
  section.check(source.from != normalization_from::initial_policy || source.samples > 0, "normalization.samples",
                "at least 1 where ppo.normalization.from = initial_policy");
  section.check(source.from != normalization_from::reward_model || has_reward_model, "normalization.from",
                "another one where there is no ppo.reward_model");
  const normalize_options& fixed = training.options.normalization;
  if (!has_reward_model)
    refuse_unused(section, "normalization", fixed, {.clip = fixed.clip}, "where there is no ppo.reward_model to score");
  if (source.from != normalization_from::none)
    refuse_unused(section, "normalization", fixed, {.clip = fixed.clip},
                  "unless ppo.normalization.from is none: the scores give it");
}

}  // namespace coho::trainer
