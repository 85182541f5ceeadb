#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "jsonl/jsonl.hpp"

namespace coho::trainer {

/// What stages could not use of the records that they read, counted for the whole run and said once: when a stage
/// that trains on them has read them all, else at its end. A
/// record is counted once however often it is read. Stages may run in several threads (the demo's do).
///
///     record_losses::of_run().add("a system text, which is left out", reader);
///     for (const auto& line : record_losses::of_run().take_lines()) log(line);  // "note: 3 records: a system text, …"
class record_losses {
 public:
  static record_losses& of_run();

  void add(std::string_view what, const jsonl_reader& at);
  /// `record`: what tells it from others.
  void add(std::string_view what, std::string_view record);
  std::vector<std::string> lines() const;
  /// The lines, and begins anew.
  std::vector<std::string> take_lines();
  void clear();

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::unordered_set<std::size_t>, std::less<>> seen_;  ///< hashes of the records
};

}  // namespace coho::trainer
