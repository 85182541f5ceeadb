#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace coho::trainer {

/// A file mapped into memory. Pages are read when touched; writing to them changes this process's copy, never the file
/// (a tensor over the mapping may be trained in place). Throws `file_error` when the file cannot be opened.
class mapped_file {
 public:
  /// Only regular files; an empty one gives an empty mapping.
  explicit mapped_file(const std::filesystem::path& path);
  ~mapped_file();
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;

  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  /// Evicts the whole pages within a part of a mapping: they are read again when touched again, and anything written to
  /// them is lost. For parts that will not be read again.
  static void release(std::span<const std::byte> part) noexcept;

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace coho::trainer
