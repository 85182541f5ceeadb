#pragma once

#include <string>
#include <vector>

#include <coho/generation.hpp>

#include "config/config.hpp"
#include "config/option_list.hpp"
#include "generation/engine.hpp"

namespace coho::trainer {

/// The section `generation` without the engine's keys: max_new_tokens, temperature, top_k, top_p. `stop`: the stop
/// strings of the prompts. Where the section says nothing, `defaults` apply, but nothing is truncated (top_k 0, top_p
/// 1). Throws config_error, option_error.
generation_options read_generation(const config& options, const std::vector<std::string>& stop,
                                   const generation_options& defaults = {.max_new_tokens = 256});

/// `generation.slots` (sequences decoded together) and `generation.prefill_tokens`.
engine_options read_engine(const config& options);

/// The section `generation` with a stage's defaults; with the options of the engine where the stage reads them.
option_section generation_section(const generation_options& defaults, bool with_engine);

}  // namespace coho::trainer
