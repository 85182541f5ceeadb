#include "jsonl/bad_records.hpp"

#include <functional>
#include <string>
#include <string_view>

#include "files/notices.hpp"

namespace coho::trainer {

bad_records& bad_records::setting() {
  static bad_records all;
  return all;
}

void bad_records::skip_bad_records() {
  const std::lock_guard lock(mutex_);
  skip_ = true;
  seen_.clear();
}

void bad_records::refuse_bad_records() {
  const std::lock_guard lock(mutex_);
  skip_ = false;
  seen_.clear();
}

std::size_t bad_records::count() const {
  const std::lock_guard lock(mutex_);
  return seen_.size();
}

void bad_records::report_skipped(const file_error& problem) {
  const std::string_view text = problem.what();
  const std::lock_guard lock(mutex_);
  if (!seen_.insert(std::hash<std::string_view>{}(text)).second) return;
  if (seen_.size() <= most_notes) notices::setting().say("skipped: " + std::string(text));
  if (seen_.size() == most_notes) notices::setting().say("further skipped records are counted but not named");
}

}  // namespace coho::trainer
