#include "distributed/same_run.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <coho/error.hpp>
#include <coho/rng.hpp>
#include <coho/version.hpp>

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// Weights of 100 GB are compared by their headers, sizes and ends.
constexpr std::uintmax_t whole_file = std::uintmax_t{64} << 20, end_part = std::uintmax_t{1} << 20;

// The hash of what was hashed before followed by `text`. Hashes begin with 1 (files), 2 (folders) and 3 (recipes), so
// that an empty one of each differs.
std::uint64_t extend_hash(std::uint64_t hash, std::string_view text) { return rng(hash, stream_key(text)).bits64(); }

// By size and bytes, or by both ends of a large file; 0 if it cannot be read.
std::uint64_t hash_file(const fs::path& path) {
  std::error_code unknown;
  const auto size = fs::file_size(path, unknown);
  if (unknown) return 0;
  std::uint64_t hash = extend_hash(1, std::to_string(size));
  std::ifstream file(path, std::ios::binary);
  std::string bytes(static_cast<std::size_t>(std::min(size, size > whole_file ? end_part : whole_file)), '\0');
  const auto hash_part = [&] {
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    hash = extend_hash(hash, std::string_view(bytes.data(), static_cast<std::size_t>(file.gcount())));
  };
  hash_part();
  if (size > whole_file) {
    file.seekg(-static_cast<std::streamoff>(end_part), std::ios::end);
    hash_part();
  }
  return hash;
}

}  // namespace

std::uint64_t hash_path(const fs::path& path) {
  std::error_code unknown;
  if (!fs::is_directory(path, unknown)) return fs::is_regular_file(path, unknown) ? hash_file(path) : 0;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path, unknown)) {
    if (entry.is_regular_file(unknown)) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  std::uint64_t hash = 2;
  for (const auto& file : files)
    hash = extend_hash(extend_hash(hash, file.filename().string()), std::to_string(hash_file(file)));
  return hash;
}

std::vector<fingerprint> run_fingerprints(std::string_view resolved,
                                          const std::vector<std::pair<std::string, fs::path>>& paths) {
  std::istringstream lines{std::string(resolved)};
  std::uint64_t recipe = 3;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("threads =")) recipe = extend_hash(recipe, line);
  }
  std::vector<fingerprint> out{{"version of coho", stream_key(version)}, {"recipe", recipe}};
  for (const auto& [key, path] : paths) {
    if (key != "out" && !path.empty()) out.emplace_back("file or folder for " + key, hash_path(path));
  }
  return out;
}

void require_same_run(process_group& ranks, const std::vector<fingerprint>& mine) {
  if (ranks.size() == 1) return;
  std::string text;
  for (const auto& [what, number] : mine) text += std::to_string(number) + " " + what + "\n";
  const auto all = ranks.all_gather(text);
  for (std::size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0]) continue;
    std::istringstream first(all[0]), other(all[r]);
    std::string expected, found;
    while (std::getline(first, expected) && std::getline(other, found) && expected == found) {
    }
    const std::string what = expected.substr(std::min(expected.find(' '), expected.size() - 1) + 1);
    throw argument_error("rank " + std::to_string(r) + " has a different " + what +
                         " than rank 0: all ranks of a run need the same program, recipe, seed, model and data");
  }
}

}  // namespace coho::trainer
