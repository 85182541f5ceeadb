#pragma once

#include <cstddef>
#include <functional>
#include <iosfwd>
#include <mutex>
#include <string>
#include <string_view>

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

  bool is_live() const noexcept { return live_; }
  bool quiet() const noexcept { return quiet_; }

 private:
  /// The live line without control characters, cut to the terminal's width.
  std::string fit_live_line() const;

  std::ostream& stream_;
  std::function<std::size_t()> width_;
  std::mutex mutex_;
  std::string shown_;  ///< the whole live line
  bool live_, quiet_;
};

}  // namespace coho::trainer
