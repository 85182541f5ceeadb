#pragma once

#include <filesystem>
#include <vector>

#include <coho/principle/intervention.hpp>
#include <coho/principle/principle.hpp>

namespace coho::trainer {

/// Reads a list of principles: a JSON array of {"dimension", "definition", "negative_definition"?, "weight"?}, the form
/// of the collections published with SALMON. A missing weight is 1.
///
/// Throws `file_error` that names the entry (its number and, where known, its dimension) for a missing, empty or
/// mistyped member, a weight that is negative, a member that the form does not have, a name that occurs twice, and a
/// list from which nothing can be drawn.
///
///     auto principles = coho::trainer::load_principles("principles/reward_model.json");
std::vector<principle> load_principles(const std::filesystem::path& path);

/// Reads a file of the same form as named interventions, all switched on; weights and negative definitions are not
/// used.
intervention_set load_interventions(const std::filesystem::path& path);

}  // namespace coho::trainer
