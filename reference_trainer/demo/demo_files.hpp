#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "demo/demo_options.hpp"
#include "demo/principles.hpp"
#include "demo/world.hpp"

namespace coho::trainer::demo {

/// A reinforcement-learning run of the demo.
struct policy_run {
  std::string name, title;
  std::vector<std::pair<quality, bool>> principles;  ///< one of them is drawn per prompt; true: negated
  bool intervention = false;
  double language_bonus = 0, length_bonus_per_token = 0;
};

/// All of them, in the order of the report.
const std::vector<policy_run>& policy_runs();

/// The wordings of each principle that preferences are written in.
inline constexpr std::size_t wording_count = 8;

/// The file with all principles in wording `w` < wording_count.
std::filesystem::path wording_file(const std::filesystem::path& folder, std::size_t w);

/// Writes what the stages of the demo read besides each other's results: prompts to train on, to hold out and to
/// measure policies on, all prompts of the world for PPO, each wording's principles, and principles-NAME.json of each
/// policy run with interventions.json. The draws depend on the seed only. Throws output_error.
void write_demo_files(const std::filesystem::path& folder, const demo_options& counts, std::uint64_t seed);

}  // namespace coho::trainer::demo
