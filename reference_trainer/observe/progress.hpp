#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <iosfwd>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coho::trainer {

/// A stream for users (stderr) on which log lines and one live line share the last row. Thread-safe.
///
/// A live line is cut to the terminal's width, which is queried each time it is drawn because a window may be resized.
/// Wide characters (CJK, emoji) take two columns.
class console {
 public:
  /// `live`: the stream is a terminal, so a line can be redrawn. `quiet`: nothing is printed. `width`: the columns of
  /// the terminal, by default those of stderr.
  console(std::ostream& stream, bool live, bool quiet, std::function<std::size_t()> width = {});

  /// Prints a line above the live line.
  void print(std::string_view line);
  /// Redraws the live line; only on a terminal. An empty text removes it.
  void redraw(std::string_view line);

  bool live() const noexcept { return live_; }
  bool quiet() const noexcept { return quiet_; }

 private:
  std::string cut() const;

  std::ostream& stream_;
  std::function<std::size_t()> width_;
  std::mutex mutex_;
  std::string shown_;  ///< the whole live line
  bool live_, quiet_;
};

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

  progress(std::shared_ptr<console> terminal, std::string_view label, std::size_t total, std::string_view unit = "");
  progress(progress&&) noexcept = default;
  progress& operator=(progress&&) = delete;
  /// Ends the line if `finish` was not called (an exception propagates, or the stage was interrupted).
  ~progress();

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
  double seconds() const;
  void show();

  std::shared_ptr<console> terminal_;
  std::string label_, unit_, note_;
  std::vector<std::pair<std::string, double>> counts_;
  std::size_t total_, done_ = 0, started_at_ = 0;
  clock::time_point start_, last_shown_;
  bool finished_ = false;
};

/// "45 s", "3 m 05 s", "2 h 07 m".
std::string format_duration(double seconds);

}  // namespace coho::trainer
