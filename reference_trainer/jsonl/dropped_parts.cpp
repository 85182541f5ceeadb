#include "jsonl/dropped_parts.hpp"

#include <functional>

namespace coho::trainer {

dropped_parts& dropped_parts::of_run() {
  static dropped_parts all;
  return all;
}

void dropped_parts::add(std::string_view what, const jsonl_reader& at) {
  add(what, at.path().string() + '\n' + at.place());
}

void dropped_parts::add(std::string_view what, std::string_view record) {
  const std::lock_guard lock(mutex_);
  seen_[std::string(what)].insert(std::hash<std::string_view>{}(record));
}

std::vector<std::string> dropped_parts::report_lines() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [what, records] : seen_)
    out.push_back("note: " + std::to_string(records.size()) + (records.size() == 1 ? " record: " : " records: ") +
                  what);
  return out;
}

std::vector<std::string> dropped_parts::drain_lines() {
  auto out = report_lines();
  clear();
  return out;
}

std::map<std::string, std::size_t> dropped_parts::drain_counts() {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::size_t> out;
  for (const auto& [what, records] : seen_) out[what] = records.size();
  seen_.clear();
  return out;
}

void dropped_parts::clear() {
  const std::lock_guard lock(mutex_);
  seen_.clear();
}

}  // namespace coho::trainer
