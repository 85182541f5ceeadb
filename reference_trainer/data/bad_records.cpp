#include "data/bad_records.hpp"

#include <utility>

namespace coho::trainer {

bad_records& bad_records::setting() {
  static bad_records all;
  return all;
}

void bad_records::skip_all(std::function<void(std::string_view)> note) {
  skip_ = true;
  note_ = std::move(note);
  seen_.clear();
}

void bad_records::refuse_all() {
  skip_ = false;
  note_ = nullptr;
  seen_.clear();
}

void bad_records::pass_over(const file_error& problem) {
  const std::string_view text = problem.what();
  if (!seen_.insert(std::hash<std::string_view>{}(text)).second || !note_) return;
  if (seen_.size() <= most_notes) note_("passed over: " + std::string(text));
  if (seen_.size() == most_notes) note_("more records that are passed over are counted, and not named");
}

}  // namespace coho::trainer
