#include "settings/ppo_settings.hpp"

#include <algorithm>

#include "config/read_options.hpp"
#include "settings/generation_settings.hpp"
#include "settings/optimizer_settings.hpp"

namespace coho::trainer {
namespace {

// The released code ends a response there as well, as one that is not finished.
std::vector<std::string> read_unfinished_stops(const config& section) {
  using texts = std::vector<std::string>;
  const bool code = section.get<std::string>("preset", "paper") == "salmon_code";
  auto out = section.get<texts>("unfinished_stops", code ? texts{"\nNote", "\nUpdate", "\nComment", "###"} : texts{});
  for (const auto& stop : out) section.check(!stop.empty(), "unfinished_stops", "a list of texts that are not empty");
  return out;
}

// In addition to the library's own checks.
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

ppo_options ppo_preset(std::string_view name) {
  ppo_options out = name == "salmon_code" ? ppo_options::salmon_code() : ppo_options::paper();
  out.scoring_batch = out.micro_batch = {.tokens = 16384, .sort_by_length = true};
  return out;
}

ppo_options read_ppo_options(const config& options, const stage_context& context, const std::vector<std::string>& stop,
                             std::uint64_t steps) {
  const config section = options.section("ppo");
  const ppo_options preset = ppo_preset(section.choice("preset", "paper", {"paper", "salmon_code"}));
  ppo_options out = preset;
  out.seed = context.seed;
  out.generation = read_generation(options, stop, out.generation);
  out.generation.unfinished_stop = read_unfinished_stops(section);
  if (section.has("adaptive_kl")) out.adaptive_kl = adaptive_kl_options{.initial = preset.shaping.kl_coefficient};
  read_options(section, out, {"seed", "generation", "learning_rate"});
  out.learning_rate =
      read_learning_rate(section, out.learning_rate.peak, steps,
                         option_names(preset.learning_rate.kind)[static_cast<std::size_t>(preset.learning_rate.kind)],
                         static_cast<double>(out.learning_rate.warmup_steps));
  refuse_unused_options(section, out, preset);
  if (out.adaptive_kl) out.shaping.kl_coefficient = out.adaptive_kl->initial;
  out.validate();
  return out;
}

}  // namespace coho::trainer
