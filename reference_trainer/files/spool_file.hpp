#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "files/file_descriptor.hpp"

namespace coho::trainer {

/// Temporary storage for texts on disk, readable in any order. The file is created as `<owner>.spool` and unlinked at
/// once, so no text is left when the process ends, however it ends. Throws `file_error` naming `owner` when the system
/// refuses.
///
///     spool_file spool("prompts.jsonl");
///     const auto place = spool.append("a text");
///     spool.read(place);  // "a text"
class spool_file {
 public:
  /// Where a text is in the file, in bytes.
  struct extent {
    std::uint64_t offset = 0;
    std::uint32_t size = 0;
  };

  /// Creates and unlinks the file. An empty one that a killed run left is replaced.
  explicit spool_file(const std::filesystem::path& owner);
  spool_file(const spool_file&) = delete;
  spool_file& operator=(const spool_file&) = delete;

  /// Stores a text of less than 4 GiB. It is kept in memory until a megabyte is to be written.
  extent append(std::string_view text);
  /// The text of an extent that `append` returned.
  std::string read(const extent& where);

 private:
  /// Writes what is still in memory.
  void flush();
  /// Throws `file_error` with the reason in errno.
  [[noreturn]] void throw_errno(std::string_view action) const;

  std::filesystem::path path_;
  file_descriptor descriptor_;
  std::uint64_t written_ = 0;
  std::string buffer_;
};

}  // namespace coho::trainer
