#include "settings/generation_settings.hpp"

#include <coho/error.hpp>
#include <coho/rollout/token_sampling.hpp>

namespace coho::trainer {

generation_options read_generation(const config& options, const std::vector<std::string>& stop,
                                   const generation_options& defaults) {
  generation_options out = defaults;
  out.max_new_tokens = options.get<std::size_t>("generation.max_new_tokens", defaults.max_new_tokens);
  out.temperature = options.get<double>("generation.temperature", defaults.temperature);
  out.top_k = options.get<std::size_t>("generation.top_k", 0);
  out.top_p = options.get<double>("generation.top_p", 1.0);
  options.mention({"generation.slots",
                   "generation.prefill_tokens"});  // one recipe for stages that read them and stages that do not
  out.stop = stop;
  require_option(out.max_new_tokens > 0, "generation.max_new_tokens", out.max_new_tokens, "at least 1");
  static_cast<void>(token_sampler({.temperature = out.temperature, .top_k = out.top_k, .top_p = out.top_p}));
  return out;
}

engine_options read_engine(const config& options) {
  engine_options out;
  out.slots = options.get<std::int64_t>("generation.slots", out.slots);
  out.prefill_tokens = options.get<std::int64_t>("generation.prefill_tokens", out.prefill_tokens);
  options.check(out.slots > 0, "generation.slots", "at least 1");
  options.check(out.prefill_tokens > 0, "generation.prefill_tokens", "at least 1");
  return out;
}

}  // namespace coho::trainer
