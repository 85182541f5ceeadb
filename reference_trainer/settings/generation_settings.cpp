#include "settings/generation_settings.hpp"

#include <coho/rollout/token_sampling.hpp>

#include "config/read_options.hpp"

namespace coho::trainer {

generation_options read_generation(const config& options, const std::vector<std::string>& stop,
                                   const generation_options& defaults) {
  generation_options out = defaults;
  out.top_k = 0;
  out.top_p = 1;
  read_options(options.section("generation"), out, {"stop", "unfinished_stop"});
  out.stop = stop;
  static_cast<void>(token_sampler({.temperature = out.temperature, .top_k = out.top_k, .top_p = out.top_p}));
  return out;
}

option_section generation_section(const generation_options& defaults, bool with_engine) {
  option_section out{.name = "generation"};
  list_options(out.options, "generation.", {"stop", "unfinished_stop"}, defaults);
  if (with_engine) list_options(out.options, "generation.", {}, engine_options{});
  return out;
}

engine_options read_engine(const config& options) {
  engine_options out;
  read_options(options.section("generation"), out);
  return out;
}

}  // namespace coho::trainer
