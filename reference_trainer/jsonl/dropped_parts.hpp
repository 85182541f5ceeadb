#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "jsonl/jsonl.hpp"

namespace coho::trainer {

/// The parts of records that stages drop because they cannot use them, counted for the whole run and reported once:
/// when a stage that trains on the records has read them all, otherwise at its end. A record is counted once however
/// often it is read. Stages may run in several threads (the demo's do).
///
///     dropped_parts::of_run().add("a system text, which is left out", reader);
///     for (const auto& line : dropped_parts::of_run().drain_lines()) log(line);  // "note: 3 records: a system text, …"
class dropped_parts {
 public:
  static dropped_parts& of_run();

  /// Counts the record that `at` read last. `what` is the part, as the line names it.
  void add(std::string_view what, const jsonl_reader& at);
  /// `record`: identifies the record.
  void add(std::string_view what, std::string_view record);
  /// One line per part, with the number of its records, sorted by part.
  std::vector<std::string> report_lines() const;
  /// Returns the lines and starts over.
  std::vector<std::string> drain_lines();
  /// Returns the number of records of each part and starts over.
  std::map<std::string, std::size_t> drain_counts();
  void clear();

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::unordered_set<std::size_t>, std::less<>> seen_;  ///< hashes of the records
};

}  // namespace coho::trainer
