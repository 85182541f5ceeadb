#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "run/stage_context.hpp"

namespace coho::trainer {

/// Throws config_error when the file that a stage writes, given by the option `key`, is also an input: writing
/// would destroy it. Empty and missing inputs do not count.
void refuse_same_file(std::string_view key, const std::filesystem::path& out,
                      const std::vector<std::filesystem::path>& inputs);

/// Throws config_error when the folder into which a stage saves a model is a file, or the folder of a model that the
/// stage reads.
void check_output_folder(const std::filesystem::path& out, const std::vector<std::filesystem::path>& inputs);

/// Creates the folder of an output file, so that it is not missing when the work is done. Does nothing for an
/// empty path; throws output_error when it cannot be created.
void create_parent_folder(const std::filesystem::path& out);

/// Whether a resumed run finds its file of records finished, and logs so.
bool log_if_complete(const std::filesystem::path& out, stage_context& context);

}  // namespace coho::trainer
