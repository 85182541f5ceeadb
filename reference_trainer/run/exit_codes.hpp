#pragma once

namespace coho::trainer {

/// The program's exit statuses. Scripts may rely on these numbers.
enum class exit_code : int {
  success = 0,
  check_failed = 1,  ///< the work was done, but a requested check failed
  usage = 2,         ///< command line: unknown subcommand or flag
  config = 3,        ///< recipe or --set: unknown key, wrong type, value out of range; --resume with others
  file_missing = 4,  ///< a file or folder that is needed does not exist
  file_bad = 5,      ///< a file exists but cannot be used
  option = 6,        ///< an option of an algorithm that no key of the recipe sets, out of its range
  arguments = 7,     ///< data that do not fit together
  out_of_memory = 8,
  output = 9,         ///< a result cannot be written (permission, full disk)
  internal = 70,      ///< a bug in the program
  interrupted = 130,  ///< SIGINT or SIGTERM; --resume continues from there
};

}  // namespace coho::trainer
