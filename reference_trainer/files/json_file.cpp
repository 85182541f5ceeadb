#include "files/json_file.hpp"

#include <string>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "files/file_kind.hpp"
#include "files/json_text.hpp"
#include "files/read_file.hpp"

namespace coho::trainer {
namespace {

// For the two kinds of objects, sorted and in file order.
template <class Json>
Json read_document(const std::filesystem::path& path, std::size_t limit) {
  const std::string text = read_file(path, limit);
  Json value;
  const auto fault = parse_json(text, value);
  if (!fault) return value;
  refuse_other_kinds(path.string(), text, file_use::document);
  if (text.find_first_not_of(" \t\r\n") == std::string::npos)
    throw file_error(path.string(), "", "is empty, but a JSON document is needed");
  throw file_error(path.string(), "byte " + std::to_string(fault->byte),
                   fault->what.empty() ? "is not a JSON document" : fault->what, fault->mend);
}

}  // namespace

nlohmann::json read_json(const std::filesystem::path& path, std::size_t limit) {
  return read_document<nlohmann::json>(path, limit);
}

nlohmann::ordered_json read_ordered_json(const std::filesystem::path& path, std::size_t limit) {
  return read_document<nlohmann::ordered_json>(path, limit);
}

void write_json(const std::filesystem::path& path, const nlohmann::json& json) {
  write_file(path, json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace coho::trainer
