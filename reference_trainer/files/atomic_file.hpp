#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "files/file_descriptor.hpp"

namespace coho::trainer {

/// A file that appears under its name only when it is complete.
///
/// Bytes go to a temporary file next to the target. `commit` flushes it to the disk and renames it over the target, so
/// a reader, or a crash, sees the old file or the new one, never a part. Without `commit` the destructor removes the
/// temporary file. Throws `file_error` naming the target when the system refuses.
///
///     coho::trainer::atomic_file file("adapter_config.json");
///     file.write("{}");
///     file.commit();
class atomic_file {
 public:
  /// Creates the temporary file; the folder must exist.
  explicit atomic_file(std::filesystem::path path);
  ~atomic_file();
  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;

  /// Appends; not after `commit`.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Flushes and renames; may be called once.
  void commit();

  const std::filesystem::path& path() const noexcept { return path_; }
  const std::filesystem::path& temporary_path() const noexcept { return temporary_; }

 private:
  /// Removes the temporary file, unless it was committed.
  void discard() noexcept;

  std::filesystem::path path_, temporary_;
  file_descriptor descriptor_;  ///< closed after `commit`
};

/// Writes a whole file through `atomic_file`: replaces an old one only when the new one is complete.
void write_file(const std::filesystem::path& path, std::string_view content);

/// Copies a file of at most 1 GiB through `atomic_file`.
void copy_atomically(const std::filesystem::path& from, const std::filesystem::path& to);

/// Flushes a directory's entries to the disk, so that a rename within it survives a power cut. Does nothing on file
/// systems that do not open directories. An empty path is the current directory.
void flush_directory(const std::filesystem::path& directory);

}  // namespace coho::trainer
