#include "program/find_recipe.hpp"

#include <system_error>
#include <vector>

#include <coho/error.hpp>

#include "config/spelling.hpp"

namespace coho::trainer {

std::filesystem::path find_recipe(const std::string& name, std::span<const std::filesystem::path> folders) {
  std::error_code ignored;
  const bool is_folder = std::filesystem::is_directory(name, ignored);
  if (std::filesystem::exists(name, ignored) && !is_folder) return name;
  std::vector<std::string> known;
  for (const auto& folder : folders) {
    // "recipes/NAME.toml" is equivalent to NAME, in any working folder.
    for (const auto& candidate : {folder / name, folder / (name + ".toml"), folder.parent_path() / name}) {
      if (std::filesystem::is_regular_file(candidate, ignored)) return candidate;
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
      if (entry.path().extension() == ".toml") known.push_back(entry.path().stem().string());
    }
  }
  if (is_folder) return name;
  const auto meant = nearest(std::filesystem::path(name).stem().string(), known);
  throw file_error(name, "", "no such recipe",
                   meant.empty() ? "give the path of a TOML file, or the name of a built-in recipe"
                                 : "did you mean the built-in recipe " + meant + "?");
}

}  // namespace coho::trainer
