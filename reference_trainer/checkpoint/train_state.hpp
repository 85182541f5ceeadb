#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include <nlohmann/json.hpp>

#include "checkpoint/tensor_io.hpp"

namespace coho::trainer {

/// Everything a run needs to continue as if it had not stopped: weights and optimizer moments by name, and everything
/// small (counters, random states, controllers) as JSON.
struct train_state {
  tensor_map tensors;
  nlohmann::json values = nlohmann::json::object();
};

/// Saves a state as the directory `root/step-<step>`. It is written under a temporary name and renamed, so a directory
/// with that name is always complete; leftovers of interrupted saves are removed. Afterwards the oldest steps are
/// removed until `keep` are left (0 keeps all). `write_more` may write more files into the directory before it is
/// renamed. Returns the directory.
///
///     coho::trainer::save_train_state(run / "checkpoints", step, state, 2);
std::filesystem::path save_train_state(const std::filesystem::path& root, std::uint64_t step, const train_state& state,
                                       std::size_t keep = 0,
                                       const std::function<void(const std::filesystem::path&)>& write_more = {});

/// Reads a directory that `save_train_state` returned. Throws `file_error`.
train_state load_train_state(const std::filesystem::path& directory);

/// A step that can be continued from.
struct saved_step {
  std::uint64_t step = 0;
  std::filesystem::path directory;
};

/// The saved steps under `root`, oldest first; none if there is no such directory.
std::vector<saved_step> saved_steps(const std::filesystem::path& root);

/// The newest saved step, if any.
std::optional<saved_step> latest_step(const std::filesystem::path& root);

}  // namespace coho::trainer
