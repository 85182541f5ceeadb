#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// Throws config_error when the file that a stage writes, given by the option `key`, is one that it reads: writing
/// would take it away. Inputs that are empty or not there are none.
void refuse_same_file(std::string_view key, const std::filesystem::path& out,
                      const std::vector<std::filesystem::path>& inputs);

/// Makes the folder that a file is to stand in, so that it need not be missed when all work is done. Nothing for an
/// empty path; throws output_error when it cannot be made.
void make_folder_of(const std::filesystem::path& out);

}  // namespace coho::trainer
