#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace coho::trainer {

/// Temporary storage for texts on disk, readable in any order. The file is created as `<beside>.spool` and unlinked at
/// once, so no text is left when the process ends, however it ends. Throws `file_error` naming `beside` when the system
/// refuses.
///
///     spool_file spool("prompts.jsonl");
///     const auto place = spool.append("a text");
///     spool.read(place);  // "a text"
class spool_file {
 public:
  struct place {
    std::uint64_t offset = 0;
    std::uint32_t size = 0;
  };

  explicit spool_file(const std::filesystem::path& beside);
  ~spool_file();
  spool_file(const spool_file&) = delete;
  spool_file& operator=(const spool_file&) = delete;

  place append(std::string_view text);
  std::string read(const place& where);

 private:
  void flush();
  [[noreturn]] void refuse(std::string_view action) const;

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t written_ = 0;
  std::string buffer_;
};

}  // namespace coho::trainer
