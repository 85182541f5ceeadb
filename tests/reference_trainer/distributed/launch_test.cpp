#include "distributed/launch.hpp"

#include <map>

#include "support/catch.hpp"

using namespace coho::trainer;

namespace {

launch started(const std::map<std::string, std::string>& environment) {
  return read_launch_environment([&](const char* name) -> std::optional<std::string> {
    const auto found = environment.find(name);
    return found == environment.end() ? std::nullopt : std::optional(found->second);
  });
}

}  // namespace

TEST_CASE("launchers are known by their variables") {
  const launch open_mpi = started({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"PMIX_RANK", "2"}});
  CHECK(open_mpi.by_launcher);
  CHECK(open_mpi.rank == 2);
  CHECK(open_mpi.size == 4);
  CHECK(open_mpi.launcher == "mpirun");
  const launch pmi = started({{"PMI_RANK", "0"}, {"PMI_SIZE", "48"}, {"SLURM_PROCID", "0"}});
  CHECK(pmi.size == 48);
  const launch slurm = started({{"SLURM_PROCID", "7"}, {"SLURM_STEP_NUM_TASKS", "8"}});
  CHECK(slurm.rank == 7);
  CHECK(slurm.launcher == "srun");
  const launch pmix = started({{"PMIX_RANK", "1"}});
  CHECK(pmix.by_launcher);
  CHECK(pmix.rank == 1);
  CHECK_FALSE(pmix.size);
}

TEST_CASE("a process of its own, or of a Slurm batch script, has no launcher") {
  CHECK_FALSE(started({}).by_launcher);
  CHECK_FALSE(started({{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}}).by_launcher);
  CHECK_FALSE(started({{"OMPI_COMM_WORLD_SIZE", "many"}}).by_launcher);
  CHECK_FALSE(started({{"PMI_SIZE", ""}}).by_launcher);
}
