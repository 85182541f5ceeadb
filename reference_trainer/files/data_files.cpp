#include "files/data_files.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <system_error>
#include <vector>

#include <coho/error.hpp>

namespace coho::trainer {

namespace {

// Whether a file is below a folder. False for a folder that cannot be resolved.
bool is_inside(const std::filesystem::path& file, const std::filesystem::path& folder) {
  std::error_code failure;
  const auto absolute = std::filesystem::weakly_canonical(folder, failure);
  return !failure && std::ranges::mismatch(absolute, file).in1 == absolute.end();
}

}  // namespace

std::vector<std::filesystem::path> data_folders(const std::filesystem::path& executable) {
  std::vector<std::filesystem::path> folders;
  if (const char* folder = std::getenv("COHO_DATA")) folders.emplace_back(folder);
  if (!executable.empty()) folders.push_back(executable.parent_path().parent_path() / "share" / "coho");
#ifdef COHO_TRAINER_DATA_DIR
  if (is_inside(executable, COHO_TRAINER_BUILD_DIR)) folders.emplace_back(COHO_TRAINER_DATA_DIR);
#endif
  return folders;
}

std::filesystem::path shipped_file(std::string_view name) {
  std::error_code none;
  const auto folders = data_folders(std::filesystem::read_symlink("/proc/self/exe", none));
  std::string searched;
  for (const auto& folder : folders) {
    if (std::filesystem::exists(folder / name, none)) return folder / name;
    searched += (searched.empty() ? "" : ", ") + folder.string();
  }
  throw file_error(std::string(name), "", "belongs to the program and is missing; looked for in " + searched,
                   "set COHO_DATA to the folder that holds it");
}

namespace {

// An existing file, a path with a folder, and a name with another extension are returned as they are; any other name is
// looked for among the shipped files of `folder`, and returned as it is if it is not one.
std::filesystem::path find_file_or_shipped(const std::filesystem::path& path_or_name, const std::string& folder,
                                           const std::string& extension) {
  std::error_code none;
  const bool given = std::filesystem::exists(path_or_name, none) && !std::filesystem::is_directory(path_or_name, none);
  // "self_align.jsonl" is data that happens to have the name of a shipped list.
  const bool name = path_or_name.extension().empty() || path_or_name.extension() == extension;
  if (path_or_name.empty() || path_or_name.has_parent_path() || given || !name) return path_or_name;
  try {
    return shipped_file(folder + "/" + path_or_name.stem().string() + extension);
  } catch (const file_error&) {
    return path_or_name;
  }
}

}  // namespace

std::filesystem::path find_principle_file(const std::filesystem::path& path_or_name) {
  return find_file_or_shipped(path_or_name, "principles", ".json");
}

std::filesystem::path find_prompt_file(const std::filesystem::path& path_or_name) {
  return find_file_or_shipped(path_or_name, "prompts", ".txt");
}

bool is_missing(const std::filesystem::path& path) {
  std::error_code none;
  return !std::filesystem::exists(path, none);
}

std::vector<std::filesystem::path> list_data_files(const std::filesystem::path& path,
                                                   const std::vector<std::filesystem::path>& excluded) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(path)) return {path};
  const auto is_excluded = [&](const fs::path& file) {
    std::error_code none;
    return std::ranges::any_of(excluded, [&](const auto& other) { return fs::equivalent(file, other, none); });
  };
  std::vector<fs::path> out;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    const auto name = entry.path().filename().string();
    constexpr const char* endings[] = {".json",     ".jsonl",     ".json.gz", ".jsonl.gz",
                                       ".json.zst", ".jsonl.zst", ".parquet"};
    const bool is_data = std::ranges::any_of(endings, [&](const char* ending) { return name.ends_with(ending); });
    if (is_data && entry.is_regular_file() && !is_excluded(entry.path())) out.push_back(entry.path());
  }
  if (out.empty())
    throw file_error(path.string(), "", "is a folder without .parquet, .json, .jsonl, .gz or .zst files",
                     "give a folder that holds some, or a file");
  std::ranges::sort(out);
  return out;
}

}  // namespace coho::trainer
