#include "resources/exemplar_file.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/prompt/chat_prompt.hpp>

#include "files/json_file.hpp"

namespace coho::trainer {

namespace {

// The mend of most errors.
constexpr std::string_view exemplar_form = "write {\"question\", \"input\" (optional), \"thoughts\", \"answer\"}";
constexpr std::array<std::string_view, 4> exemplar_members{"question", "input", "thoughts", "answer"};

}  // namespace

std::vector<self_align_exemplar> load_exemplars(const std::filesystem::path& path) {
  const nlohmann::json list = read_json(path);
  if (!list.is_array()) throw file_error(path.string(), "", "is not a JSON array of exemplars", exemplar_form);
  if (list.empty()) throw file_error(path.string(), "", "has no exemplars", exemplar_form);
  std::vector<self_align_exemplar> out;
  for (const auto& entry : list) {
    const auto fail = [&](const std::string& what, std::string_view mend = exemplar_form) {
      throw file_error(path.string(), "entry " + std::to_string(out.size() + 1), what, mend);
    };
    if (!entry.is_object()) fail("is not a JSON object");
    for (const auto& [key, ignored] : entry.items()) {
      if (std::ranges::find(exemplar_members, key) == exemplar_members.end())
        fail("has an unknown member \"" + key + "\"");
    }
    const auto text = [&](const char* key) {
      const auto found = entry.find(key);
      if (found == entry.end()) fail("has no \"" + std::string(key) + "\"");
      if (!found->is_string()) fail("\"" + std::string(key) + "\" is not a string", "write it as text");
      auto value = found->template get<std::string>();
      if (value.find_first_not_of(" \t\r\n") == std::string::npos)
        fail("\"" + std::string(key) + "\" is empty", "write its text");
      return value;
    };
    out.push_back({.question = full_instruction(text("question"), entry.contains("input") ? text("input") : ""),
                   .thoughts = text("thoughts"),
                   .answer = text("answer")});
  }
  return out;
}

}  // namespace coho::trainer
