#include "run/ranks.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <thread>

#include "distributed/launch.hpp"
#include "distributed/process_group.hpp"
#include "run/report_error.hpp"

namespace coho::trainer {

std::shared_ptr<process_group> start_ranks(const std::string& command, bool parallel) {
  const launch started = read_launch_environment();
  // Without a number of ranks only MPI knows it: a process of rank 0 may be the only one.
  const std::size_t expected = started.size.value_or(started.rank.value_or(0) > 0 ? 2 : 1);
  const auto refuse = [&](const std::string& why) {
    throw usage_error(started.launcher + " started " +
                      (started.size ? std::to_string(*started.size) : std::string("several")) + " processes, but " +
                      why);
  };
  if (!started.by_launcher || (started.size && *started.size == 1)) return nullptr;
  if (!parallel && expected > 1) refuse(command + " is the work of one: start it without " + started.launcher);
  if (!parallel) return nullptr;
  if (!has_mpi()) {
    if (expected > 1)
      refuse("this program was built without MPI: install libopenmpi-dev and openmpi-bin and build it again");
    return nullptr;
  }
  auto group = std::make_shared<process_group>(mpi_transport());
  if (started.size && group->size() != *started.size) {
    const std::string found = std::to_string(group->size());
    group->carrier().finish();
    refuse("MPI sees " + found +
           ": with srun try --mpi=pmix, else the mpirun of the MPI that the program was built with");
  }
  return group;
}

int end_ranks(process_group& ranks, const std::string& program, std::exception_ptr failure) {
  const auto described = describe_error(failure);
  const int code = static_cast<int>(described.code);
  if (ranks.size() == 1 || (ranks.agreed_stop() && described.code == exit_code::interrupted)) {
    if (ranks.first()) report_error(std::cerr, program, failure);
    ranks.carrier().finish();
    return code;
  }
  if (!ranks.first()) {
    // The first rank reports errors common to all; ranks waiting here are ended by the launcher's signal.
    std::signal(SIGTERM, SIG_DFL);
    std::signal(SIGINT, SIG_DFL);
    std::this_thread::sleep_for(std::chrono::milliseconds(500 + 50 * std::min<std::size_t>(ranks.rank(), 50)));
    std::cerr << program << ": rank " << ranks.rank() << ": " << described.text << std::endl;
  } else {
    report_error(std::cerr, program, failure);
  }
  ranks.carrier().abort(code);
  return code;
}

}  // namespace coho::trainer
