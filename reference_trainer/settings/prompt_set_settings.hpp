#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "records/records.hpp"

namespace coho::trainer {

/// A collection of `[[prompts.source]]`.
struct prompt_source_settings {
  std::string name;
  std::filesystem::path path;
  std::optional<std::size_t> count{};
  std::optional<prompt_type> type{};
  std::optional<double> length_bonus{};
  std::vector<std::string> languages{};
  std::vector<std::string> categories{};  ///< empty: all
  std::vector<std::string> parts{};       ///< of the collection, each with its part of `count`; empty: not asked for
  bool leave_out_inference = false;
};

/// The section `prompts`, or `rl_prompts`, as `coho prompts` reads it.
struct prompt_set_settings {
  std::filesystem::path tokenizer;
  std::size_t minimum_tokens = 2, maximum_tokens = 256;  ///< maximum 0: no limit
  std::size_t held_out = 0;
  std::filesystem::path held_out_file{};  ///< where those go; empty without any
  std::vector<std::filesystem::path> exclude{};
  bool require_counts = false;
  std::optional<double> reasoning_length_bonus{};
  std::vector<prompt_source_settings> sources{};
};

/// Reads the section of that name for a set that goes to `set`. Throws config_error.
prompt_set_settings read_prompt_set_settings(const config& options, const std::string& name,
                                             const std::filesystem::path& set);

}  // namespace coho::trainer
