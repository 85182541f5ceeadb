#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "distributed/transport.hpp"
#include "support/catch.hpp"
#include "support/run_program.hpp"
#include "support/stage_runs.hpp"

namespace coho::test {

#ifdef COHO_EXECUTABLE
inline const std::string coho_program = COHO_EXECUTABLE;
#else
inline const std::string coho_program;
#endif

/// Whether the program can be started as several processes here. Such a test says so with WARN and returns.
inline bool mpirun_works() {
  const bool there = trainer::has_mpi() && !coho_program.empty() && std::system("command -v mpirun >/dev/null") == 0;
  if (!there) WARN("no MPI in this build, or no mpirun: skipped");
  return there;
}

/// One `coho` line: the subcommand, then key=value settings as --set takes them.
inline std::vector<std::string> coho_line(const std::string& stage, const settings& given, bool resume = false) {
  std::vector<std::string> out{coho_program, stage, "--threads", "1"};
  for (const auto& each : given) {
    out.push_back("--set");
    out.push_back(each);
  }
  if (resume) out.push_back("--resume");
  return out;
}

/// The arguments of mpirun for `count` ranks of one command; several such lists are joined with ":".
inline std::vector<std::string> ranks_of(std::size_t count, std::vector<std::string> command) {
  command.insert(command.begin(), {"-n", std::to_string(count)});
  return command;
}

/// The arguments of mpirun for a job of two ranks with a command each.
inline std::vector<std::string> two_ranks(const std::vector<std::string>& first,
                                          const std::vector<std::string>& second) {
  auto both = ranks_of(1, first);
  both.push_back(":");
  for (const auto& word : ranks_of(1, second)) both.push_back(word);
  return both;
}

/// mpirun on this machine, whatever its number of processors, and as root in a container.
inline program_result mpirun(const std::vector<std::string>& arguments, const std::filesystem::path& folder) {
  std::vector<std::string> all{"OMPI_ALLOW_RUN_AS_ROOT=1",
                               "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                               "OMPI_MCA_rmaps_base_oversubscribe=1",
                               "OMPI_MCA_hwloc_base_binding_policy=none",
                               "OMPI_MCA_mpi_yield_when_idle=1",
                               "OMPI_MCA_btl_vader_single_copy_mechanism=none",
                               "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe",
                               "OMP_NUM_THREADS=1",
                               "mpirun"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_program("/usr/bin/env", all, folder);
}

inline program_result mpirun(std::size_t count, const std::string& stage, const settings& given,
                             const std::filesystem::path& folder, bool resume = false) {
  return mpirun(ranks_of(count, coho_line(stage, given, resume)), folder);
}

/// One process, without a launcher.
inline program_result one_process(const std::string& stage, const settings& given, const std::filesystem::path& folder,
                                  bool resume = false) {
  auto line = coho_line(stage, given, resume);
  const std::string program = line.front();
  line.erase(line.begin());
  return run_program(program, line, folder);
}

/// A rank that gets a signal once a path is there.
inline std::vector<std::string> signalled(const std::vector<std::string>& command, const std::string& signal,
                                          const std::filesystem::path& once) {
  std::string line;
  for (const auto& word : command) line += "'" + word + "' ";
  return {"sh", "-c",
          line + "& rank=$!; while [ ! -e '" + once.string() + "' ] && kill -0 $rank; do sleep 0.01; done; kill -" +
              signal + " $rank; wait $rank"};
}

inline void check_same_curves(const std::filesystem::path& a, const std::filesystem::path& b) {
  const auto first = trainer::metrics_log::read(a), second = trainer::metrics_log::read(b);
  REQUIRE(first.size() == second.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (first[i].first.find("second") != std::string::npos) continue;  // timings
    INFO(first[i].first);
    CHECK((first[i] == second[i]));
  }
}

inline std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace coho::test
