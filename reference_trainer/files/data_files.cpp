#include "files/data_files.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <system_error>
#include <vector>

#include <coho/error.hpp>

namespace coho::trainer {

namespace {

bool lies_in(const std::filesystem::path& file, const std::filesystem::path& folder) {
  std::error_code none;
  const auto whole = std::filesystem::weakly_canonical(folder, none);
  return !none && std::ranges::mismatch(whole, file).in1 == whole.end();
}

}  // namespace

std::vector<std::filesystem::path> data_places(const std::filesystem::path& executable) {
  std::vector<std::filesystem::path> places;
  if (const char* folder = std::getenv("COHO_DATA")) places.emplace_back(folder);
  if (!executable.empty()) places.push_back(executable.parent_path().parent_path() / "share" / "coho");
#ifdef COHO_TRAINER_DATA_DIR
  if (lies_in(executable, COHO_TRAINER_BUILD_DIR)) places.emplace_back(COHO_TRAINER_DATA_DIR);
#endif
  return places;
}

std::filesystem::path shipped(std::string_view name) {
  std::error_code none;
  const auto places = data_places(std::filesystem::read_symlink("/proc/self/exe", none));
  std::string looked;
  for (const auto& place : places) {
    if (std::filesystem::exists(place / name, none)) return place / name;
    looked += (looked.empty() ? "" : ", ") + place.string();
  }
  throw file_error(std::string(name), "", "belongs to the program and is missing; looked for in " + looked,
                   "set COHO_DATA to the folder that holds it");
}

namespace {

std::filesystem::path given_or_shipped(const std::filesystem::path& path_or_name, const std::string& folder,
                                       const std::string& extension) {
  std::error_code none;
  const bool given = std::filesystem::exists(path_or_name, none) && !std::filesystem::is_directory(path_or_name, none);
  // "self_align.jsonl" is data that happens to have the name of a shipped list.
  const bool name = path_or_name.extension().empty() || path_or_name.extension() == extension;
  if (path_or_name.empty() || path_or_name.has_parent_path() || given || !name) return path_or_name;
  try {
    return shipped(folder + "/" + path_or_name.stem().string() + extension);
  } catch (const file_error&) {
    return path_or_name;
  }
}

}  // namespace

std::filesystem::path principle_file(const std::filesystem::path& path_or_name) {
  return given_or_shipped(path_or_name, "principles", ".json");
}

std::filesystem::path prompt_file(const std::filesystem::path& path_or_name) {
  return given_or_shipped(path_or_name, "prompts", ".txt");
}

bool not_there(const std::filesystem::path& path) {
  std::error_code none;
  return !std::filesystem::exists(path, none);
}

}  // namespace coho::trainer
