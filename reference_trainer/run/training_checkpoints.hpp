#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "distributed/process_group.hpp"
#include "optimization/adamw.hpp"
#include "optimization/parameter_set.hpp"

namespace coho::trainer {

/// Weights, moments and counters of a training run in `root/step-N`, so that a resumed run equals one that never
/// stopped, bit for bit: moments are saved as the optimizer keeps them.
class training_checkpoints {
 public:
  /// `every`: steps between saves (0: never); `keep`: how many stay. Of several ranks the first one writes, while the
  /// others wait, and all read: saving, restoring and removing are for all ranks together.
  training_checkpoints(std::filesystem::path root, std::uint64_t every, std::size_t keep,
                       std::shared_ptr<process_group> ranks = std::make_shared<process_group>())
      : root_(std::move(root)), every_(every), keep_(keep), ranks_(std::move(ranks)) {}

  /// A model that is trained, under the name that it has in the saves. Both are referred to until the last save.
  void add(std::string name, parameter_set& parameters, adamw& optimizer) {
    parts_.push_back({std::move(name), &parameters, &optimizer});
  }
  /// Weights that are not trained but change during the run, such as those of a reference that is refreshed.
  void add(std::string name, parameter_set& parameters) { parts_.push_back({std::move(name), &parameters, nullptr}); }
  /// Restores everything from the newest save and returns its values, or nothing when there is none. file_error,
  /// before anything was changed, when a part is missing, of the wrong size, or its moments of another form, or when
  /// not all ranks see the same save.
  std::optional<nlohmann::json> restore();
  /// Where a run begins: `restore` with `resume`; otherwise an abandoned run's saves are removed.
  std::optional<nlohmann::json> restore_or_clear(bool resume) {
    if (resume) return restore();
    remove();
    return std::nullopt;
  }
  /// Saves all parts, and the run's own `values`, as root/step-N. Throws `error` when the ranks' weights have diverged,
  /// which only differing machines or a fault can cause.
  void save(std::uint64_t step, const nlohmann::json& values) const;
  /// The same where `step` is a multiple of `every`.
  void save_if_due(std::uint64_t step, const nlohmann::json& values) const {
    if (every_ > 0 && step % every_ == 0) save(step, values);
  }
  /// Removes all saves: once the run's result has its final name, they are no longer needed.
  void remove() const;

 private:
  struct part {
    std::string name;
    parameter_set* parameters;
    adamw* optimizer;  ///< null: not trained
  };
  std::filesystem::path root_;
  std::uint64_t every_;
  std::size_t keep_;
  std::shared_ptr<process_group> ranks_;
  std::vector<part> parts_;
};

}  // namespace coho::trainer
