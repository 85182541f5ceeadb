#include "resources/chat_template_file.hpp"

#include <map>
#include <system_error>
#include <utility>

#include <coho/error.hpp>

#include "files/json_file.hpp"
#include "files/read_file.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

constexpr const char* config_file = "tokenizer_config.json";

/// A template as it was found: its text, and the file for messages.
struct template_text {
  std::string text;
  fs::path file;
};

// The JSON file of the folder, an object; empty where there is none.
json read_object(const fs::path& path) {
  std::error_code none;
  if (!fs::is_regular_file(path, none)) return json::object();
  json out = read_ordered_json(path);
  if (!out.is_object()) throw file_error(path.string(), "", "must be an object");
  return out;
}

// Adds the templates of tokenizer_config.json: one without a name is the default.
void add_from_config(const json& config, const fs::path& path, std::map<std::string, template_text>& out) {
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return;
  if (found->is_string()) {
    out.insert_or_assign("default", template_text{found->get<std::string>(), path});
    return;
  }
  const auto wrong = [&] {
    return file_error(path.string(), "chat_template", "must be a text, or a list of objects with name and template");
  };
  if (!found->is_array()) throw wrong();
  for (const auto& entry : *found) {
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string() || !entry.contains("template") ||
        !entry["template"].is_string())
      throw wrong();
    out.insert_or_assign(entry["name"].get<std::string>(), template_text{entry["template"].get<std::string>(), path});
  }
}

// All templates of a folder by name.
std::map<std::string, template_text> read_templates(const fs::path& directory, const json& config) {
  std::map<std::string, template_text> out;
  add_from_config(config, directory / config_file, out);
  std::error_code none;
  // The second is the name of the folder in older versions.
  for (const char* folder : {"chat_templates", "additional_chat_templates"}) {
    if (!fs::is_directory(directory / folder, none)) continue;
    for (const auto& entry : fs::directory_iterator(directory / folder, none))
      if (entry.path().extension() == ".jinja")
        out.insert_or_assign(entry.path().stem().string(), template_text{read_file(entry.path()), entry.path()});
  }
  if (const auto own = directory / "chat_template.jinja"; fs::is_regular_file(own, none))
    out.insert_or_assign("default", template_text{read_file(own), own});
  return out;
}

// Adds the special tokens of a file, texts or objects with `content`, under the names that templates know.
void add_special_tokens(const json& object, json& out) {
  for (const auto& [name, value] : object.items()) {
    if (!name.ends_with("_token")) continue;
    if (value.is_string()) {
      out[name] = value;
    } else if (value.is_object() && value.contains("content") && value["content"].is_string()) {
      out[name] = value["content"];
    }
  }
}

}  // namespace

std::optional<model_chat_template> find_chat_template(const fs::path& directory, const std::string& name) {
  std::error_code none;
  if (directory.empty() || !fs::is_directory(directory, none)) return std::nullopt;
  const json config = read_object(directory / config_file);
  const auto all = read_templates(directory, config);
  if (all.empty()) return std::nullopt;
  const auto found = all.find(name);
  if (found == all.end()) {
    std::string names;
    for (const auto& [other, unused] : all) names += (names.empty() ? "" : ", ") + other;
    throw file_error(directory.string(), "", "has no chat template of the name \"" + name + "\"",
                     "give prompt.chat_template one of " + names);
  }
  json tokens = json::object();
  add_special_tokens(read_object(directory / "special_tokens_map.json"), tokens);
  add_special_tokens(config, tokens);
  return model_chat_template{chat_template(found->second.text, found->second.file.string()), std::move(tokens)};
}

model_chat_template require_chat_template(const fs::path& directory, const std::string& name) {
  auto found = find_chat_template(directory, name);
  if (!found)
    throw file_error(directory.string(), "", "brings no chat template, which prompt.format = \"model\" needs",
                     "give prompt.format another form, or put a chat_template.jinja there");
  return *std::move(found);
}

}  // namespace coho::trainer
