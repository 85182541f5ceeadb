#include "jsonl/bad_records.hpp"

#include <utility>

namespace coho::trainer {

bad_records& bad_records::setting() {
  static bad_records all;
  return all;
}

void bad_records::skip_all(std::function<void(std::string_view)> note) {
  const std::lock_guard lock(mutex_);
  skip_ = true;
  note_ = std::move(note);
  seen_.clear();
}

void bad_records::refuse_all() {
  const std::lock_guard lock(mutex_);
  skip_ = false;
  note_ = nullptr;
  seen_.clear();
}

std::size_t bad_records::count() const {
  const std::lock_guard lock(mutex_);
  return seen_.size();
}

void bad_records::pass_over(const file_error& problem) {
  const std::string_view text = problem.what();
  const std::lock_guard lock(mutex_);
  if (!seen_.insert(std::hash<std::string_view>{}(text)).second || !note_) return;
  if (seen_.size() <= most_notes) note_("passed over: " + std::string(text));
  if (seen_.size() == most_notes) note_("more records that are passed over are counted, and not named");
}

}  // namespace coho::trainer
