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

/// Records of one or several files, fetched by index, for shuffled passes over data larger than memory. Memory holds 16
/// bytes per record.
///
/// Construction reads each file completely once, so that an unusable record is reported before anything is trained.
/// Plain files are read again in place; files that cannot be rewound (gzip, pipes) are unpacked into an unlinked file
/// in the folder for temporary files ($TMPDIR, otherwise /tmp), which needs the space of the unpacked text and
/// disappears with the store.
///
/// Throws `file_error`, as `record_reader` does, for a file that changed in the meantime, and when there is no space.
///
///     const std::vector<std::filesystem::path> files{"hh.jsonl.gz", "shp.jsonl"};
///     const record_store<preference_record> store(files);
///     const preference_record record = store[7];
template <class Record>
class record_store {
 public:
  /// Per file, in the order given. `left_out`: records that their form excludes (see `from_json`).
  struct file_counts {
    std::filesystem::path path;
    std::size_t kept = 0, left_out = 0;
  };

  /// `limit`: only the first `limit` records of each file; 0: all. `inspect` sees each record as it is read, and may
  /// throw.
  explicit record_store(std::span<const std::filesystem::path> paths, std::size_t limit = 0,
                        const std::function<void(const Record&, const jsonl_reader&)>& inspect = {},
                        const column_choice& columns = {});
  ~record_store();
  record_store(const record_store&) = delete;

  std::size_t size() const noexcept { return places_.size(); }
  /// Reads record `i` from the disk again.
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
