#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "observe/console.hpp"

namespace coho::trainer {

/// Progress of one stage: label, percentage done, rate, time left, and a note.
///
/// On a terminal one line is redrawn at most ten times per second. Elsewhere a plain line appears at most every
/// `plain_interval` (30 s), so that a log of a day's run stays short; the last line is always printed.
///
///     auto bar = context.start_progress("judge", pairs.size(), "pairs");
///     bar.count("tokens", 8192);  // a second rate: ", 4096 tokens/s"
///     bar.advance(1, "agreement 0.93");
///     bar.finish();
class progress {
 public:
  using clock = std::chrono::steady_clock;

  /// `total`: 0 if it is unknown, then neither percentage nor time left are shown. `unit`: of the steps.
  progress(std::shared_ptr<console> terminal, std::string_view label, std::size_t total, std::string_view unit = "");
  progress(progress&&) noexcept = default;
  progress& operator=(progress&&) = delete;
  /// Ends the line if `finish` was not called (an exception propagates, or the stage was interrupted).
  ~progress();

  /// Adds finished steps; the line is shown if it is time. A note that is not empty replaces the running one.
  void advance(std::size_t steps = 1, std::string_view note = {});
  /// Adds an amount of something that has a separate rate in the line; several units appear in the order in which they
  /// were first counted. Call it before the matching `advance`.
  void count(std::string_view unit, double amount);
  /// Sets the number done: after a resume, the work of an earlier run is not counted in the rate.
  void start_at(std::size_t done);
  /// Prints the last line, with the time taken. `note` replaces the running one.
  void finish(std::string_view note = {});

  std::size_t done() const noexcept { return done_; }

  /// The line as shown after `seconds` of work. Public for tests.
  std::string line(double seconds, bool final_line) const;

  clock::duration plain_interval = std::chrono::seconds(30);

 private:
  /// Since the start, or since `start_at`.
  double seconds() const;
  /// Redraws the line, or prints it where there is no terminal.
  void show();

  std::shared_ptr<console> terminal_;
  std::string label_, unit_, note_;
  std::vector<std::pair<std::string, double>> counts_;
  std::size_t total_, done_ = 0, started_at_ = 0;
  clock::time_point start_, last_shown_;
  bool finished_ = false;
};

}  // namespace coho::trainer
