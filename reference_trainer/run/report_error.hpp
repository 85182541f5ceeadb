#pragma once

#include <exception>
#include <iosfwd>
#include <string>

#include <coho/error.hpp>

#include "run/exit_codes.hpp"

namespace coho::trainer {

/// The user asked to stop. Thrown at a safe point: output so far is complete and `--resume` continues from it.
class interrupted_error : public error {
 public:
  interrupted_error() : error("interrupted; the same command with --resume goes on from here") {}
};

/// The work was done but a check failed: thresholds of the demo, `validate`.
class check_failed_error : public error {
 public:
  using error::error;
};

/// The command line itself is wrong.
class usage_error : public error {
 public:
  using error::error;
};

/// A result that cannot be written.
class output_error : public error {
 public:
  using error::error;
};

/// Exit code and text, on one line and without control characters, for the exception given.
struct described_error {
  exit_code code;
  std::string text;
};
described_error describe_error(std::exception_ptr failure);

/// Writes "coho NAME: text" to `out` and returns the exit code.
int report_error(std::ostream& out, const std::string& program, std::exception_ptr failure);

}  // namespace coho::trainer
