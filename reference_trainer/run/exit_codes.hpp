#pragma once

namespace coho::trainer {

/// What the program's exit status says. Scripts may rely on these numbers.
enum class exit_code : int {
  success = 0,
  check_failed = 1,  ///< the work was done, and a check that it was asked for did not hold
  usage = 2,         ///< command line: unknown subcommand or flag
  config = 3,        ///< recipe or --set: unknown key, wrong type, value out of range
  file_missing = 4,  ///< a file or folder that is needed is not there
  file_bad = 5,      ///< a file is there and cannot be used
  option = 6,        ///< an option of an algorithm out of its range
  arguments = 7,     ///< data that do not fit together
  out_of_memory = 8,
  output = 9,         ///< a result cannot be written (permission, full disk)
  internal = 70,      ///< a fault of the program
  interrupted = 130,  ///< SIGINT or SIGTERM; --resume goes on from there
};

}  // namespace coho::trainer
