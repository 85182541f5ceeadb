#include "observe/progress.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "observe/format.hpp"

namespace coho::trainer {

namespace {

// By a printf format of one double.
std::string print_with(const char* format, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

// Two digits below 1, where a rate is of slow steps.
std::string format_rate(double rate) { return print_with(rate >= 100 ? "%.0f" : rate >= 1 ? "%.1f" : "%.2g", rate); }

}  // namespace

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
  const clock::duration wait = terminal_->is_live() ? clock::duration(std::chrono::milliseconds(100)) : plain_interval;
  if (now - last_shown_ < wait) return;
  last_shown_ = now;
  show();
}

void progress::show() {
  if (terminal_->is_live()) {
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
    out += print_with("%3.0f %% ", std::floor(100 * share));
  }
  out += std::to_string(done_);
  if (total_ > 0 && done_ != total_) out += "/" + std::to_string(total_);
  if (!unit_.empty()) out += " " + unit_;

  const auto worked = static_cast<double>(done_ - started_at_);
  const double rate = elapsed > 0 ? worked / elapsed : 0;
  if (worked > 0 && rate > 0) {
    out += rate >= 1 ? ", " + format_rate(rate) + "/s" : print_with(", %.1f s each", 1 / rate);
  }
  if (final_line) {
    out += ", " + format_duration(elapsed);
  } else if (total_ > done_ && rate > 0) {
    out += ", " + format_duration(static_cast<double>(total_ - done_) / rate) + " left";
  }
  for (const auto& [unit, amount] : counts_)
    if (amount > 0 && elapsed > 0) out += ", " + format_rate(amount / elapsed) + " " + unit + "/s";
  if (!note_.empty()) out += "  " + note_;
  return out;
}

}  // namespace coho::trainer
