#include "resources/identity_file.hpp"

#include <optional>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/json_file.hpp"

namespace coho::trainer {
namespace {

constexpr std::string_view identity_form = "write {\"questions\": [\"…\"], \"answers\": [\"…\"]}";

// The text with name and maker in place of {name} and {maker}; nothing if it has another brace.
std::optional<std::string> fill_placeholders(std::string_view text, const assistant_identity& identity) {
  std::string out;
  while (!text.empty()) {
    const auto open = text.find('{');
    out.append(text.substr(0, open));
    if (open == std::string_view::npos) break;
    text.remove_prefix(open);
    if (text.starts_with("{name}")) {
      out.append(identity.name);
      text.remove_prefix(6);
    } else if (text.starts_with("{maker}")) {
      out.append(identity.maker);
      text.remove_prefix(7);
    } else {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace

std::vector<sft_record> load_identity_records(const std::filesystem::path& path, const assistant_identity& identity) {
  const json list = read_json(path);
  if (!list.is_array())
    throw file_error(path.string(), "", "is not a JSON array of questions and answers", identity_form);
  if (list.empty()) throw file_error(path.string(), "", "has no questions", identity_form);
  std::vector<sft_record> out;
  std::size_t number = 0;
  for (const auto& entry : list) {
    const auto fail = [&, at = "entry " + std::to_string(++number)](const std::string& what,
                                                                    std::string_view mend = identity_form) {
      throw file_error(path.string(), at, what, mend);
    };
    if (!entry.is_object()) fail("is not a JSON object");
    for (const auto& [key, ignored] : entry.items())
      if (key != "questions" && key != "answers") fail("has an unknown member \"" + key + "\"");
    const auto texts = [&](const char* key) {
      const std::string member = "\"" + std::string(key) + "\"";
      if (!entry.contains(key)) fail("has no " + member);
      const auto& given = entry.at(key);
      if (!given.is_array() || given.empty()) fail(member + " is not a list of texts");
      std::vector<std::string> found;
      for (const auto& text : given) {
        if (!text.is_string() || text.get<std::string>().find_first_not_of(" \t\r\n") == std::string::npos)
          fail(member + " contains something other than text");
        auto filled = fill_placeholders(text.get<std::string>(), identity);
        if (!filled) fail(member + " contains a placeholder other than {name} and {maker}");
        found.push_back(std::move(*filled));
      }
      return found;
    };
    const auto questions = texts("questions"), answers = texts("answers");
    for (const auto& answer : answers)
      for (const auto& question : questions) out.push_back({.prompt = {.instruction = question}, .response = answer});
  }
  return out;
}

}  // namespace coho::trainer
