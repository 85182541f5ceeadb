#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

#include <coho/reward/normalization.hpp>

#include "evaluation/preference_measures.hpp"

namespace coho::trainer {

/// The scale of a reward model's scores, in `reward_statistics.json` next to its weights (which transformers and PEFT
/// ignore): {over, scores, mean, deviation, minimum, maximum}. The deviation is the population's.
struct reward_statistics {
  std::string over;  ///< "held-out pairs" or "training pairs"
  score_moments scores{};
};

/// Writes the file into a reward model's folder.
void write_reward_statistics(const std::filesystem::path& folder, const reward_statistics& statistics);
/// Nothing if the folder has none. Throws file_error for an unusable file.
std::optional<reward_statistics> read_reward_statistics(const std::filesystem::path& folder);

/// Removes the file, if there is one: of weights that are about to be replaced.
void remove_reward_statistics(const std::filesystem::path& folder);
/// Copies the file of a reward model whose weights are rewritten in another form. Does nothing if there is none.
void copy_reward_statistics(const std::filesystem::path& from, const std::filesystem::path& to);

/// The stored scale as the normalisation of rewards. Throws file_error when there is none, or when all scores were
/// equal.
normalize_options load_normalization(const std::filesystem::path& reward_model, double clip = 0);

}  // namespace coho::trainer
