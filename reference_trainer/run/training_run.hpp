#pragma once

#include <cstddef>
#include <filesystem>

#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "distributed/process_group.hpp"
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

/// Whether a folder holds the result of a run: its final name, and no checkpoint to continue from.
bool holds_result(const std::filesystem::path& out);

/// Whether `--resume` finds a run that had ended: its result has its final name and no checkpoint is left to
/// continue from. Logs so. All ranks call together.
bool finished_before(stage_context& context, const std::filesystem::path& out);

}  // namespace coho::trainer
