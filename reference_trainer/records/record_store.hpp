#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "records/records.hpp"

namespace coho::trainer {

/// Records of one or several files, fetched by number: what a shuffled pass over data larger than memory needs. Memory
/// holds 16 bytes a record.
///
/// Construction reads each file once from its beginning to its end, so that a record that cannot be used is told of
/// before anything is trained. Plain files are read again where they lie; what has no way back (gzip, pipes) is
/// unpacked meanwhile into a file without a name in the folder for temporary files ($TMPDIR, else /tmp), which takes
/// the room of the unpacked text and is gone with the store.
///
/// Throws `file_error`, as `record_reader` does, for a file that changed meanwhile, and where there is no room.
///
///     const std::vector<std::filesystem::path> files{"hh.jsonl.gz", "shp.jsonl"};
///     const record_store<preference_record> store(files);
///     const preference_record record = store[7];
template <class Record>
class record_store {
 public:
  /// Of each file, in the order given. `left_out`: records that their form says are not to be used (see `from_json`).
  struct file_counts {
    std::filesystem::path path;
    std::size_t kept = 0, left_out = 0;
  };

  /// `limit`: of each file the first so many records alone; 0: all. `look` sees each record as it is read, and may
  /// throw.
  explicit record_store(std::span<const std::filesystem::path> paths, std::size_t limit = 0,
                        const std::function<void(const Record&, const jsonl_reader&)>& look = {});
  ~record_store();
  record_store(const record_store&) = delete;

  std::size_t size() const noexcept { return places_.size(); }
  Record operator[](std::size_t i) const;
  const std::vector<file_counts>& files() const noexcept { return counts_; }

 private:
  struct source;
  struct place {
    std::uint64_t offset;
    std::uint32_t size, source;
  };

  std::vector<std::unique_ptr<source>> sources_;
  std::vector<file_counts> counts_;
  std::vector<place> places_;
};

}  // namespace coho::trainer
