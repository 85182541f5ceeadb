#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// The path of a data file that comes with the program (templates, principles, recipes) by its name below the data
/// folder: shipped_file("prompts/judge.txt"). Throws `file_error` naming the `data_folders` if none has it.
std::filesystem::path shipped_file(std::string_view name);

/// Where an executable's data may be, in order of search: $COHO_DATA (if set), `../share/coho` next to it, and the
/// source tree for an executable that is still in its build folder. An installed program never looks there.
std::vector<std::filesystem::path> data_folders(const std::filesystem::path& executable);

/// A file of principles by its path, or a shipped one by its name: find_principle_file("reinforcement"). Anything else
/// is returned as it is, for the reader's error.
std::filesystem::path find_principle_file(const std::filesystem::path& path_or_name);
/// The same for templates and wordings: find_prompt_file("inference").
std::filesystem::path find_prompt_file(const std::filesystem::path& path_or_name);

/// Whether there is no file or folder of this path, or none that may be seen. Never throws.
bool is_missing(const std::filesystem::path& path);

/// The file itself or, of a folder, all .parquet, .json and .jsonl files below it, the latter two also with .gz or
/// .zst, sorted by path so that the order does not depend on the disk. `excluded` are left out, such as a run's own
/// output. Throws `file_error` for a folder without any.
std::vector<std::filesystem::path> list_data_files(const std::filesystem::path& path,
                                                   const std::vector<std::filesystem::path>& excluded = {});

}  // namespace coho::trainer
