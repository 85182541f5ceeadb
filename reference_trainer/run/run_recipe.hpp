#pragma once

#include <filesystem>
#include <string_view>

#include "config/config.hpp"

namespace coho::trainer {

/// Where a run keeps the options that it was started with: `config.toml` in the folder of a training run, FILE.toml
/// beside a file of records.
std::filesystem::path recipe_in_folder(const std::filesystem::path& folder);
std::filesystem::path recipe_beside_file(const std::filesystem::path& records);

/// What `save_run_recipe` puts before the fingerprint of each file, "NUMBER KEY = PATH".
inline constexpr std::string_view fingerprint_mark = "# fingerprint ";

/// Saves the options read, and as comments the fingerprints of the files and folders that they name, other than those
/// that the run writes (see `hash_path`).
void save_run_recipe(const config& options, const std::filesystem::path& recipe);

/// Whether `--resume` finds records of an earlier run: the finished file, or what was written of it.
bool has_records(const std::filesystem::path& out);

/// The recipe beside a file of records while the run writes these: a run that leaves none leaves no recipe, nor the
/// folder that was made for it.
class records_recipe {
 public:
  records_recipe(const config& options, const std::filesystem::path& records);
  ~records_recipe();
  records_recipe(const records_recipe&) = delete;
  records_recipe& operator=(const records_recipe&) = delete;

 private:
  std::filesystem::path records_;
  bool made_folder_;
};

}  // namespace coho::trainer
