#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace coho::trainer {

/// Reads a whole file, or a pipe to its end, of at most `limit` bytes (1 GiB). Throws `file_error` when it is missing,
/// is a directory, cannot be read or is larger.
std::string read_file(const std::filesystem::path& path, std::size_t limit = std::size_t{1} << 30);

}  // namespace coho::trainer
