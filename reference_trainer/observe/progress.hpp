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

/// A stream for people (stderr) on which log lines and one live line share the last row. Thread-safe.
///
/// A live line is cut to the terminal's width, which is asked for anew each time that it is drawn: a window may change
/// its size. Wide characters (CJK, emoji) take two columns.
class console {
 public:
  /// `live`: the stream is a terminal, so that a line can be redrawn. `quiet`: nothing is printed at all. `width`: the
  /// columns of the terminal, those of stderr by default.
  console(std::ostream& stream, bool live, bool quiet, std::function<std::size_t()> width = {});

  /// A line of its own, above the live line.
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

/// Progress of one stage: label, share done, rate, time left, and a note.
///
/// On a terminal one line is redrawn at most ten times a second. Elsewhere a plain line appears at most every
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
  /// Ends the line when `finish` was not called (an exception passes through, or the stage was interrupted).
  ~progress();

  void advance(std::size_t steps = 1, std::string_view note = {});
  /// So much more of something that has a rate of its own in the line; several kinds stand in the order in which they
  /// were first counted. To be called before the `advance` that it belongs to.
  void count(std::string_view unit, double amount);
  /// Sets the number done: after a resume, work that an earlier run did is not counted in the rate.
  void start_at(std::size_t done);
  /// The last line, with the time taken. `note` replaces the running one.
  void finish(std::string_view note = {});

  std::size_t done() const noexcept { return done_; }

  /// The line as it would be shown after `seconds` of work. Public for tests.
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
