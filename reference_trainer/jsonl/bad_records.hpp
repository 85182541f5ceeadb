#pragma once

#include <cstddef>
#include <mutex>
#include <unordered_set>

#include <coho/error.hpp>

#include "jsonl/jsonl.hpp"

namespace coho::trainer {

/// The treatment of records that cannot be used: text that is not JSON, not UTF-8 or longer than 10 MB; fields that are
/// missing or of another type; empty prompts. Unless `skip`, the first one is an error. One setting for the program
/// (`--skip-bad`), so that all passes of a stage over a file see the same records, whichever thread makes them.
class bad_records {
 public:
  static bad_records& setting();

  /// From now on bad records are left out; the count starts over. `notices` get the text of each error once, up to
  /// `most_notes` of them.
  void skip_bad_records();
  /// From now on the first bad record is an error (the default); the count starts over.
  void refuse_bad_records();
  bool is_skipping() const noexcept { return skip_; }
  /// Distinct records skipped.
  std::size_t count() const;

  /// Counts the record that caused an error, once per text of an error, and reports it.
  void report_skipped(const file_error& problem);

  static constexpr std::size_t most_notes = 20;

 private:
  mutable std::mutex mutex_;
  bool skip_ = false;                     ///< set before a stage runs
  std::unordered_set<std::size_t> seen_;  ///< hashes of what was reported, because files are read more than once
};

/// Advances to the next value that `read` accepts; false at the end. `read(value)` returns false for a value to leave
/// out and throws `file_error` for one that cannot be used: that error propagates or, with `--skip-bad`, the record is
/// skipped after a call of `on_bad`.
///
///     for (record r; next_usable(reader, [&](const json& value) { return from_json(value, reader, r); });) use(r);
template <class Read, class OnBad = void (*)()>
bool next_usable(
    jsonl_reader& reader, Read&& read, OnBad on_bad = [] {}) {
  for (json value;;) {
    try {
      if (!reader.next(value)) return false;
      if (read(value)) return true;
    } catch (const file_error& problem) {
      if (!bad_records::setting().is_skipping() || !reader.recover()) throw;
      bad_records::setting().report_skipped(problem);
      on_bad();
    }
  }
}

/// Runs a check of the record that `reader` has read: what it throws becomes a `file_error` at the record's place.
template <class Check>
void check_record(const jsonl_reader& reader, Check&& check) {
  try {
    check();
  } catch (const error& problem) {
    reader.fail(problem.what());
  }
}

}  // namespace coho::trainer
