#pragma once

#include <exception>
#include <memory>
#include <string>

namespace coho::trainer {

class process_group;

/// The processes of the job if a launcher started more than one, else nothing. `parallel`: whether the subcommand
/// can be several processes. Throws `usage_error`: it cannot; the program was built without MPI; the launcher and MPI
/// do not agree on the number.
std::shared_ptr<process_group> start_ranks(const std::string& command, bool parallel);

/// Handles an exception that ends a process's run: writes its line, after "rank 3: " unless it is the first,
/// and ends the job on all ranks. Ranks that fail at the same time do not all write: the others are ended first. Where
/// all ranks agreed to stop the first one writes, and none is killed. Returns the exit status, or does not return.
int end_ranks(process_group& ranks, const std::string& program, std::exception_ptr failure);

}  // namespace coho::trainer
