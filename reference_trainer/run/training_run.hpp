#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "distributed/process_group.hpp"
#include "optimization/adamw.hpp"
#include "optimization/parameter_set.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// The section `distributed`.
struct distributed_options {
  std::size_t shards = 1;

  static void describe(auto&& visit, auto&... o) {
    visit(otherwise("one per rank",
                    {"shards", "number of parts that the work of a step is cut into", allowed::in(1, 65536)}),
          o.shards...);
  }
};

/// The processes of the run as a communicator for the library's trainers. Reads `distributed.shards`, which a resumed
/// run takes from its newest checkpoint in `out` unless it is given, and has each process of a machine use a GPU of its
/// own where `device` is "cuda" without a number. Call before unknown keys are rejected and models are loaded.
process_group& join_ranks(const config& options, stage_context& context, const std::filesystem::path& out);

/// The folder for a run's metrics: `out` on the first rank, none on the others.
inline std::filesystem::path metrics_folder(const stage_context& context, const std::filesystem::path& out) {
  return context.ranks->first() ? out : std::filesystem::path();
}

/// The threads of libtorch's operators as the context sets them. Operators are deterministic for a given number.
void use_threads(const stage_context& context);

/// Whether `--resume` finds a run that had ended: its result has its final name and no checkpoint is left to
/// continue from. Logs so. All ranks call together.
bool finished_before(stage_context& context, const std::filesystem::path& out);

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
  /// Restores everything from the newest save and returns its values, or nothing when there is none. file_error,
  /// before anything was changed, when a part is missing, of the wrong size, or its moments of another form, or when
  /// not all ranks see the same save.
  std::optional<nlohmann::json> restore();
  /// Where a run begins: `restore` with `resume`; otherwise an abandoned run's saves are removed.
  std::optional<nlohmann::json> start(bool resume) {
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
    adamw* optimizer;
  };
  std::filesystem::path root_;
  std::uint64_t every_;
  std::size_t keep_;
  std::shared_ptr<process_group> ranks_;
  std::vector<part> parts_;
};

}  // namespace coho::trainer
