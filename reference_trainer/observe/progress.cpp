#include "observe/progress.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ostream>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>

#include "observe/table.hpp"

namespace coho::trainer {

namespace {

std::size_t terminal_width() {
  struct ::winsize size {};
  if (::ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string print_number(const char* format, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

std::string print_rate(double rate) { return print_number(rate >= 100 ? "%.0f" : rate >= 1 ? "%.1f" : "%.2g", rate); }

}  // namespace

console::console(std::ostream& stream, bool live, bool quiet, std::function<std::size_t()> width)
    : stream_(stream), width_(width ? std::move(width) : terminal_width), live_(live), quiet_(quiet) {}

// A line that wraps could not be redrawn in place, and the cursor stays in its row only while the last column is free;
// the echo of ^C needs two more. A note may contain anything: a control character would move the cursor.
std::string console::cut() const {
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
  if (!shown_.empty()) out += cut();
  stream_ << out << std::flush;
}

void console::redraw(std::string_view line) {
  if (quiet_ || !live_) return;
  const std::lock_guard lock(mutex_);
  if (shown_.empty() && line.empty()) return;
  shown_ = line;
  stream_ << "\r\033[K" + cut() << std::flush;
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  char buffer[64];
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (seconds < 9.95) {
    std::snprintf(buffer, sizeof buffer, "%.1f s", seconds);
  } else if (whole < 60) {
    std::snprintf(buffer, sizeof buffer, "%lld s", whole);
  } else if (whole < 3600) {
    std::snprintf(buffer, sizeof buffer, "%lld m %02lld s", whole / 60, whole % 60);
  } else {
    std::snprintf(buffer, sizeof buffer, "%lld h %02lld m", whole / 3600, whole % 3600 / 60);
  }
  return buffer;
}

progress::progress(std::shared_ptr<console> terminal, std::string_view label, std::size_t total, std::string_view unit)
    : terminal_(std::move(terminal)),
      label_(label),
      unit_(unit),
      total_(total),
      start_(clock::now()),
      last_shown_(start_) {}

progress::~progress() {
  if (terminal_ == nullptr || finished_) return;
  try {
    terminal_->redraw("");
    if (done_ > started_at_) terminal_->print(line(seconds(), false));
  } catch (...) {
    // A closed terminal is not a reason to end the program from a destructor.
  }
}

double progress::seconds() const { return std::chrono::duration<double>(clock::now() - start_).count(); }

void progress::start_at(std::size_t done) {
  done_ = started_at_ = done;
  start_ = clock::now();
}

void progress::count(std::string_view unit, double amount) {
  const auto found = std::ranges::find(counts_, unit, &std::pair<std::string, double>::first);
  if (found == counts_.end()) {
    counts_.emplace_back(unit, amount);
  } else {
    found->second += amount;
  }
}

void progress::advance(std::size_t steps, std::string_view note) {
  done_ += steps;
  if (!note.empty()) note_ = note;
  const auto now = clock::now();
  const clock::duration wait = terminal_->live() ? clock::duration(std::chrono::milliseconds(100)) : plain_interval;
  if (now - last_shown_ < wait) return;
  last_shown_ = now;
  show();
}

void progress::show() {
  if (terminal_->live()) {
    terminal_->redraw(line(seconds(), false));
  } else {
    terminal_->print(line(seconds(), false));
  }
}

void progress::finish(std::string_view note) {
  if (finished_) return;
  if (!note.empty()) note_ = note;
  finished_ = true;
  terminal_->redraw("");
  terminal_->print(line(seconds(), true));
}

std::string progress::line(double elapsed, bool final_line) const {
  std::string out = label_;
  out.resize(std::max<std::size_t>(out.size(), 12), ' ');
  out += " ";
  if (total_ > 0 && !final_line) {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    out += print_number("%3.0f %% ", std::floor(100 * share));
  }
  out += std::to_string(done_);
  if (total_ > 0 && done_ != total_) out += "/" + std::to_string(total_);
  if (!unit_.empty()) out += " " + unit_;

  const auto worked = static_cast<double>(done_ - started_at_);
  const double rate = elapsed > 0 ? worked / elapsed : 0;
  if (worked > 0 && rate > 0) {
    out += rate >= 1 ? ", " + print_rate(rate) + "/s" : print_number(", %.1f s each", 1 / rate);
  }
  if (final_line) {
    out += ", " + format_duration(elapsed);
  } else if (total_ > done_ && rate > 0) {
    out += ", " + format_duration(static_cast<double>(total_ - done_) / rate) + " left";
  }
  for (const auto& [unit, amount] : counts_)
    if (amount > 0 && elapsed > 0) out += ", " + print_rate(amount / elapsed) + " " + unit + "/s";
  if (!note_.empty()) out += "  " + note_;
  return out;
}

}  // namespace coho::trainer
