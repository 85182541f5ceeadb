#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace coho::trainer {

/// What the environment says about how this process was started.
struct launch {
  bool by_launcher = false;           ///< by mpirun, mpiexec or srun
  std::optional<std::size_t> rank{};  ///< among the processes of the job, if the launcher says so
  std::optional<std::size_t> size{};  ///< their number, if the launcher says so
  std::string launcher{};             ///< "mpirun", "srun"
};

/// Reads the variables of Open MPI, of PMI (MPICH, Intel MPI), of PMIx and of Slurm. `variable(name)` returns its value
/// or nothing. A process of a Slurm batch script outside `srun` counts as started without a launcher.
///
///     const launch started = read_launch_environment();
launch read_launch_environment(const std::function<std::optional<std::string>(const char*)>& variable);
/// From this process's environment.
launch read_launch_environment();

}  // namespace coho::trainer
