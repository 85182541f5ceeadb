#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

namespace coho::test {

/// The root of the source tree, for tests that read files which the repository ships.
inline std::filesystem::path source_dir() {
#ifdef COHO_SOURCE_DIR
  return COHO_SOURCE_DIR;
#else
  return std::filesystem::weakly_canonical(std::filesystem::path(__FILE__).parent_path() / ".." / "..");
#endif
}

/// The folder of checkpoints and data sets that are not part of the repository, or nothing where it is absent: such a
/// test says so with WARN and returns.
///
///     const auto data = coho::test::shared_data();
///     if (!data) { WARN("shared data absent: skipped"); return; }
inline std::optional<std::filesystem::path> shared_data() {
  std::error_code ignored;
  if (const char* named = std::getenv("COHO_SHARED_DATA"); named != nullptr && *named != '\0') {
    if (std::filesystem::is_directory(named, ignored)) return std::filesystem::path(named);
    return std::nullopt;
  }
  for (const char* place : {"shared/data", "../shared/data"}) {
    const auto path = source_dir() / place;
    if (std::filesystem::is_directory(path, ignored)) return std::filesystem::weakly_canonical(path, ignored);
  }
  return std::nullopt;
}

}  // namespace coho::test
