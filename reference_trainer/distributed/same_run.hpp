#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "distributed/process_group.hpp"

namespace coho::trainer {

/// Something that all ranks must have alike: its name in messages and a number that stands for what it is.
using fingerprint = std::pair<std::string, std::uint64_t>;

/// Of a file: its size and bytes, of a large one those at both ends. Of a folder: names and contents of its files. Of
/// what is not there: 0.
std::uint64_t fingerprint_of(const std::filesystem::path& path);

/// What a run is made of: the recipe as it was resolved, but for `threads`, which may differ, and the files that it
/// names (key and path) except `out`.
std::vector<fingerprint> run_fingerprints(std::string_view resolved,
                                          const std::vector<std::pair<std::string, std::filesystem::path>>& paths);

/// Compares with the first rank. Throws `argument_error` on all ranks, which names the first rank that differs and in
/// what. All ranks call together.
void require_same_run(process_group& ranks, const std::vector<fingerprint>& mine);

}  // namespace coho::trainer
