#pragma once

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "support/temporary_directory.hpp"

namespace coho::test {

/// What a program left behind. status: its exit status, or 128 + the signal that ended it.
struct program_result {
  int status = -1;
  std::string out, err;
};

/// Runs a program in `folder`. Once `kill_when` holds it gets SIGKILL.
inline program_result run_program(const std::string& program, const std::vector<std::string>& arguments,
                                  const std::filesystem::path& folder, const std::function<bool()>& kill_when = {}) {
  const temporary_directory streams;
  const std::string out = (streams / "out").string(), err = (streams / "err").string(), where = folder.string();
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const ::pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("no process can be started");
  if (child == 0) {
    const int to_out = ::open(out.c_str(), O_WRONLY | O_CREAT, 0600),
              to_err = ::open(err.c_str(), O_WRONLY | O_CREAT, 0600);
    if (::chdir(where.c_str()) != 0 || ::dup2(to_out, 1) < 0 || ::dup2(to_err, 2) < 0) ::_exit(126);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  int state = 0;
  if (kill_when) {
    while (::waitpid(child, &state, WNOHANG) == 0) {
      if (kill_when()) ::kill(child, SIGKILL);
      ::usleep(200);
    }
  } else {
    ::waitpid(child, &state, 0);
  }
  return {WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state), read_bytes(out), read_bytes(err)};
}

}  // namespace coho::test
