#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// A data file that comes with the program: templates, principles, recipes. Searched for in `data_places`. Throws
/// file_error, which names them, if none has it.
std::filesystem::path shipped(std::string_view name);

/// Where an executable's data may be, in order of search: $COHO_DATA (if set), `../share/coho` next to it, and the
/// source tree for an executable that is still in its build folder. An installed program never looks there.
std::vector<std::filesystem::path> data_places(const std::filesystem::path& executable);

/// A file of principles by its path, or a shipped one by its name: principle_file("reinforcement"). Anything else is
/// returned as it is, for the reader's error.
std::filesystem::path principle_file(const std::filesystem::path& path_or_name);
/// The same for templates and wordings: prompt_file("inference").
std::filesystem::path prompt_file(const std::filesystem::path& path_or_name);

/// Whether a file or folder is missing.
bool not_there(const std::filesystem::path& path);

}  // namespace coho::trainer
