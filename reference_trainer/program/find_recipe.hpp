#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace coho::trainer {

/// A recipe by its path, or by its name in one of the folders: find_recipe("dromedary-2-70b", folders). An existing
/// file of that name comes first. Throws `file_error` where there is none, with the nearest name that the folders hold;
/// the path of a folder is returned where nothing else has its name, for the reader's error.
std::filesystem::path find_recipe(const std::string& name, std::span<const std::filesystem::path> folders);

}  // namespace coho::trainer
