#include "files/json_file.hpp"

#include <coho/error.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "files/atomic_file.hpp"

namespace coho::trainer {

nlohmann::json read_json(const std::filesystem::path& path, std::size_t limit) {
  const auto text = read_file(path, limit);
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& problem) {
    throw file_error(path.string(), "byte " + std::to_string(problem.byte), "is not a JSON document");
  }
}

void write_json(const std::filesystem::path& path, const nlohmann::json& json) {
  write_file(path, json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace coho::trainer
