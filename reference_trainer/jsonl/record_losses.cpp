#include "jsonl/record_losses.hpp"

#include <functional>

namespace coho::trainer {

record_losses& record_losses::of_run() {
  static record_losses losses;
  return losses;
}

void record_losses::add(std::string_view what, const jsonl_reader& at) {
  add(what, at.path().string() + '\n' + at.place());
}

void record_losses::add(std::string_view what, std::string_view record) {
  const std::lock_guard lock(mutex_);
  seen_[std::string(what)].insert(std::hash<std::string_view>{}(record));
}

std::vector<std::string> record_losses::lines() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [what, records] : seen_)
    out.push_back("note: " + std::to_string(records.size()) + (records.size() == 1 ? " record: " : " records: ") +
                  what);
  return out;
}

std::vector<std::string> record_losses::take_lines() {
  auto out = lines();
  clear();
  return out;
}

void record_losses::clear() {
  const std::lock_guard lock(mutex_);
  seen_.clear();
}

}  // namespace coho::trainer
