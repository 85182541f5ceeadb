#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace coho::trainer {

/// Reads a file or a pipe from its beginning to its end, unpacked: plain, gzip or zstd, recognised by content, not by
/// name. Streams packed one after the other (gzip members, zstd frames) are read as one.
///
///     unpacked_file file("pairs.jsonl.zst");
///     while (const auto got = file.read(buffer)) use(buffer, got);
///     if (!file.fault().empty()) refuse(file.fault());
class unpacked_file {
 public:
  /// Throws `file_error` for a file that is missing, may not be read or is a directory.
  explicit unpacked_file(const std::filesystem::path& path);
  ~unpacked_file();
  unpacked_file(unpacked_file&&) noexcept;

  /// The first bytes of the file as they are, packed or not; only before the first `read`.
  std::string_view beginning() const noexcept;
  /// Fills the buffer with the next bytes and returns their number: 0 at the end and at a fault.
  std::size_t read(std::span<char> buffer);
  /// Why reading ended early: "the gzip stream is cut off"; empty if it did not.
  const std::string& fault() const noexcept;
  /// Whether bytes can be read again at their offset: a plain file that is not a pipe.
  bool can_reread() const noexcept;

  struct stream;

 private:
  std::unique_ptr<stream> stream_;
};

}  // namespace coho::trainer
