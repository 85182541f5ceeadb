#pragma once

#include <cstddef>
#include <filesystem>

#include <nlohmann/json_fwd.hpp>

namespace coho::trainer {

/// Reads a JSON document of at most `limit` bytes. Throws `file_error` with the place of a syntax error or of a number
/// that no double can hold, and with the format of a file of another kind.
nlohmann::json read_json(const std::filesystem::path& path, std::size_t limit = std::size_t{64} << 20);
/// The same with keys in file order.
nlohmann::ordered_json read_ordered_json(const std::filesystem::path& path, std::size_t limit = std::size_t{64} << 20);

/// Writes an indented JSON document through `atomic_file`. Text that is not UTF-8, as a path may be, is written with
/// replacement characters.
void write_json(const std::filesystem::path& path, const nlohmann::json& json);

}  // namespace coho::trainer
