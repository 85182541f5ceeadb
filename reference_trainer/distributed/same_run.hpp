#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "distributed/process_group.hpp"

namespace coho::trainer {

/// Something that must be equal on all ranks: its name in messages and a hash of it.
using fingerprint = std::pair<std::string, std::uint64_t>;

/// For a file: its size and bytes, or for a large one those at both ends. For a folder: names and contents of its
/// files. For a missing path: 0.
std::uint64_t hash_path(const std::filesystem::path& path);

/// What a run depends on: the resolved recipe without `threads`, which may differ, and the files that it names (key and
/// path) except `out`.
std::vector<fingerprint> run_fingerprints(std::string_view resolved,
                                          const std::vector<std::pair<std::string, std::filesystem::path>>& paths);

/// Compares with the first rank. Throws `argument_error` on all ranks, naming the first rank that differs and the
/// difference. All ranks must call it together.
void require_same_run(process_group& ranks, const std::vector<fingerprint>& mine);

}  // namespace coho::trainer
