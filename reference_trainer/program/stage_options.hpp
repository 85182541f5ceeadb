#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/option_list.hpp"
#include "program/subcommand.hpp"

namespace coho::trainer {

/// The options of a stage, in the order of its sections.
std::vector<listed_option> stage_options(const subcommand& stage);

/// Every section of the stages once, after those at the top of a recipe ("general"); where stages differ in its
/// defaults, with a column for each.
std::vector<option_section> all_sections(const std::vector<subcommand>& stages);

/// A flag that every stage takes.
struct common_flag {
  std::string names;  ///< "-c,--config"
  std::string value;  ///< what stands for its value in help: "FILE"; empty: it takes none
  std::string help;
};
/// In the order of --help. The help of a flag that sets a key at the top of a recipe is the meaning of the key.
const std::vector<common_flag>& common_flags();
/// The one with these names. Throws argument_error.
const common_flag& find_common_flag(std::string_view names);

/// The keys of all stages, for `config::allow_keys` of each.
std::map<std::string, shared_key> shared_keys(const std::vector<subcommand>& stages);

}  // namespace coho::trainer
