#include "distributed/launch.hpp"

#include <charconv>
#include <cstdlib>

namespace coho::trainer {

launch read_launch_environment(const std::function<std::optional<std::string>(const char*)>& variable) {
  const auto number = [&](const char* name) -> std::optional<std::size_t> {
    const auto text = variable(name);
    if (!text) return std::nullopt;
    std::size_t out = 0;
    const char* const end = text->data() + text->size();
    const auto [stop, problem] = std::from_chars(text->data(), end, out);
    if (problem != std::errc() || stop != end) return std::nullopt;
    return out;
  };
  struct variables {
    const char *rank, *size, *launcher;
  };
  // Open MPI's own variables come before those of the process manager under it. SLURM_NTASKS and SLURM_PROCID are set
  // in batch scripts too; the number of a step's tasks is not.
  for (const auto& names :
       {variables{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "mpirun"},
        variables{"PMI_RANK", "PMI_SIZE", "mpirun"}, variables{"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "srun"}}) {
    const auto size = number(names.size);
    if (size) return {true, number(names.rank), size, names.launcher};
  }
  if (const auto rank = number("PMIX_RANK")) return {true, rank, std::nullopt, "mpirun"};
  return {};
}

launch read_launch_environment() {
  return read_launch_environment([](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  });
}

}  // namespace coho::trainer
