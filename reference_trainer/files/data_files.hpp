#pragma once

#include <filesystem>
#include <string_view>

namespace coho::trainer {

/// A data file that comes with the program: templates, principles, recipes. Looked for in $COHO_DATA, then beside an
/// installed executable (../share/coho), then in the source tree that the program was built from. Throws file_error
/// when it is nowhere.
std::filesystem::path shipped(std::string_view name);

/// A file of principles by its path, or a shipped one by its name: principle_file("reinforcement"). What is neither
/// comes back as it is, for the reader's error.
std::filesystem::path principle_file(const std::filesystem::path& path_or_name);
/// The same of templates and wordings: prompt_file("inference").
std::filesystem::path prompt_file(const std::filesystem::path& path_or_name);

/// Whether a file or folder is missing.
bool not_there(const std::filesystem::path& path);

}  // namespace coho::trainer
