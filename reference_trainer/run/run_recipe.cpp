#include "run/run_recipe.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <system_error>
#include <utility>

#include "config/spelling.hpp"
#include "distributed/same_run.hpp"
#include "files/atomic_file.hpp"
#include "files/data_files.hpp"
#include "run/report_error.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// The keys of files that a run writes.
bool is_output(std::string_view key) {
  return key == "out" || key == "self_align.rejected" || key == "prompts.held_out_file";
}

}  // namespace

bool has_records(const fs::path& out) {
  return !out.empty() && std::ranges::any_of(std::array{"", ".partial", ".records", ".records.partial"},
                                             [&](const char* suffix) { return !is_missing(out.string() + suffix); });
}

fs::path recipe_in_folder(const fs::path& folder) { return folder / "config.toml"; }

fs::path recipe_beside_file(const fs::path& records) { return records.string() + ".toml"; }

void save_run_recipe(const config& options, const fs::path& recipe) {
  std::string text = options.resolved();
  const char* gap = "\n# Of the files as they were, for --resume:\n";
  for (const auto& [key, path] : options.read_paths()) {
    if (path.empty() || is_output(key)) continue;
    text += std::exchange(gap, "") + std::string(fingerprint_mark) + std::to_string(hash_path(path)) + " " + key +
            " = " + escape_controls(path.string()) + "\n";
  }
  write_file(recipe, text);
}

records_recipe::records_recipe(const config& options, const fs::path& records) : records_(records) {
  std::error_code failure;
  made_folder_ = records.has_parent_path() && fs::create_directories(records.parent_path(), failure);
  if (failure) throw output_error(records.string() + ": its folder cannot be made: " + failure.message());
  save_run_recipe(options, recipe_beside_file(records));
}

records_recipe::~records_recipe() {
  if (has_records(records_)) return;
  std::error_code ignored;
  fs::remove(recipe_beside_file(records_), ignored);
  if (made_folder_) fs::remove(records_.parent_path(), ignored);  // not unless it is empty
}

}  // namespace coho::trainer
