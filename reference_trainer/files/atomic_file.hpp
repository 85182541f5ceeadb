#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

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
  explicit atomic_file(std::filesystem::path path);
  ~atomic_file();
  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void commit();

  const std::filesystem::path& path() const noexcept { return path_; }
  const std::filesystem::path& temporary_path() const noexcept { return temporary_; }

 private:
  void discard() noexcept;

  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

/// Writes a whole file through `atomic_file`.
void write_file(const std::filesystem::path& path, std::string_view content);

/// Copies a file through `atomic_file`.
void copy_atomically(const std::filesystem::path& from, const std::filesystem::path& to);

/// Reads a whole file of at most `limit` bytes. Throws `file_error` when it cannot be read or is larger.
std::string read_file(const std::filesystem::path& path, std::size_t limit = std::size_t{1} << 30);

/// Flushes a directory's entries to the disk, so that a rename within it survives a power cut.
void flush_directory(const std::filesystem::path& directory);

}  // namespace coho::trainer
