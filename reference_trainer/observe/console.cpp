#include "observe/console.hpp"

#include <algorithm>
#include <ostream>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>

#include "observe/format.hpp"

namespace coho::trainer {
namespace {

// The columns of the terminal at stderr; 80 if it is not one.
std::size_t terminal_width() {
  struct ::winsize size {};
  if (::ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

console::console(std::ostream& stream, bool live, bool quiet, std::function<std::size_t()> width)
    : stream_(stream), width_(width ? std::move(width) : terminal_width), live_(live), quiet_(quiet) {}

// A line that wraps could not be redrawn in place, and the cursor stays in its row only while the last column is free;
// the echo of ^C needs two more. A note may contain anything: a control character would move the cursor.
std::string console::fit_live_line() const {
  std::string text = shown_;
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  const std::size_t width = std::max<std::size_t>(width_(), 1);
  return std::string(first_columns(text, width - (width > 20 ? 3 : 1)));
}

// One write each: stderr is unbuffered, and anything between two writes (the echo of ^C, another program's line) would
// shift the rest.
void console::print(std::string_view line) {
  if (quiet_) return;
  const std::lock_guard lock(mutex_);
  std::string out = shown_.empty() ? "" : "\r\033[K";
  out.append(line).append("\n");
  if (!shown_.empty()) out += fit_live_line();
  stream_ << out << std::flush;
}

void console::redraw(std::string_view line) {
  if (quiet_ || !live_) return;
  const std::lock_guard lock(mutex_);
  if (shown_.empty() && line.empty()) return;
  shown_ = line;
  stream_ << "\r\033[K" + fit_live_line() << std::flush;
}

}  // namespace coho::trainer
