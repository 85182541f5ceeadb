#pragma once

#include <filesystem>
#include <memory>

#include "jsonl/unpacked_file.hpp"
#include "jsonl/value_source.hpp"

namespace coho::trainer {

/// The values of a file of JSON text: JSON Lines, a top-level array, or one object. `jsonl_reader` says the rest.
std::unique_ptr<value_source> open_json_values(const std::filesystem::path& path, unpacked_file file,
                                               const jsonl_options& options);

}  // namespace coho::trainer
