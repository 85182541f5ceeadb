#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <coho/prompt/self_align_prompt.hpp>

#include "config/config.hpp"
#include "datasets/self_align_filter.hpp"
#include "generation/engine.hpp"
#include "settings/model_settings.hpp"

namespace coho::trainer {

/// The sections `self_align`, `generation` and `model` as `coho self-align` reads them.
struct self_align_settings {
  std::filesystem::path prompts, adapter;
  std::filesystem::path rejected;       ///< of rejected records; empty: not written
  std::size_t batch = 256;              ///< prompts at a time
  std::size_t limit = 0;                ///< prompts in all; 0: the whole file
  std::size_t max_question_tokens = 0;  ///< 0: the context left by prefix and answer
  model_settings model{};
  generation_options generation{};
  engine_options engine{};
  std::vector<principle> rules{};
  std::optional<self_align_prompt> prompt{};  ///< absent, as the rules, while one of its files is missing
  self_align_filter_options filters{};
};

/// Throws config_error and option_error for keys, file_error for rules, exemplars and template. With `may_lack_files`
/// (a dry run) missing files are not an error.
self_align_settings read_self_align_settings(const config& options, bool may_lack_files);

/// `self_align.filters.NAME` (true or false), `self_align.unfinished` ("keep", "trim", "drop"), `self_align.repetition`
/// ("truncate", "remove") and the limits. `opening`: the default of self_align.thoughts_opening. Throws config_error.
self_align_filter_options read_self_align_filters(const config& options, const std::string& opening);

}  // namespace coho::trainer
