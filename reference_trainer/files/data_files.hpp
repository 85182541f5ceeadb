#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// A data file that comes with the program: templates, principles, recipes. Looked for in the `data_places`. Throws
/// file_error, which names them, when it is in none.
std::filesystem::path shipped(std::string_view name);

/// Where an executable's data may be, in the order of search: $COHO_DATA (where set), `../share/coho` next to it, and
/// for one that is still in the folder it was built in, the source tree. An installed program never looks there.
std::vector<std::filesystem::path> data_places(const std::filesystem::path& executable);

/// A file of principles by its path, or a shipped one by its name: principle_file("reinforcement"). What is neither
/// comes back as it is, for the reader's error.
std::filesystem::path principle_file(const std::filesystem::path& path_or_name);
/// The same of templates and wordings: prompt_file("inference").
std::filesystem::path prompt_file(const std::filesystem::path& path_or_name);

/// Whether a file or folder is missing.
bool not_there(const std::filesystem::path& path);

}  // namespace coho::trainer
