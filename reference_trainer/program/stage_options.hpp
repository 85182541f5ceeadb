#pragma once

#include <string>
#include <vector>

#include "config/option_list.hpp"
#include "program/subcommand.hpp"

namespace coho::trainer {

/// The options of a stage, in the order of its sections.
std::vector<listed_option> options_of(const subcommand& stage);

/// Every section of the stages once, after those at the top of a recipe ("general"); where stages differ in its
/// defaults, with a column for each.
std::vector<option_section> all_sections(const std::vector<subcommand>& stages);

}  // namespace coho::trainer
