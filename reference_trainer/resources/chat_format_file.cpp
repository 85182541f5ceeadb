#include "resources/chat_format_file.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/json_file.hpp"

namespace coho::trainer {
namespace {

// An object of the file; `name` is its prefix ("system."). Unlike json_part it knows which fields were asked for. Every
// field must be read before `refuse_unknown`, which refuses the others.
class format_fields {
 public:
  format_fields(std::string file, std::string name, const nlohmann::json& value)
      : file_(std::move(file)), name_(std::move(name)), value_(value) {}

  [[noreturn]] void fail(std::string_view field, std::string_view what, std::string_view mend = {}) const {
    throw file_error(file_, "field \"" + name_ + std::string(field) + "\"", what, mend);
  }

  // Text of messages: refused if it spells a begin or end token.
  std::string text(const std::string& field, const std::string& fallback = {}) {
    const auto* value = find(field);
    if (value == nullptr) return fallback;
    if (!value->is_string()) fail(field, "is of type " + std::string(value->type_name()) + ", expected text");
    auto out = value->get<std::string>();
    for (const std::string_view token : {"<s>", "</s>"})
      if (out.find(token) != std::string::npos)
        fail(field, "holds \"" + std::string(token) + "\", but begin and end tokens are not part of a format's text",
             "leave it out and place those tokens with begin_token and end_token");
    return out;
  }

  // False if it is absent.
  bool boolean(const std::string& field) {
    const auto* value = find(field);
    if (value != nullptr && !value->is_boolean())
      fail(field, "is of type " + std::string(value->type_name()) + ", expected true or false");
    return value != nullptr && value->get<bool>();
  }

  // Whether the field has the second of two words; absent, it has the first.
  bool is_second_choice(const std::string& field, const std::string& first_word, const std::string& second_word) {
    const auto word = text(field, first_word);
    if (word != first_word && word != second_word)
      fail(field, "is \"" + word + "\", expected \"" + first_word + "\" or \"" + second_word + "\"");
    return word == second_word;
  }

  // Empty if it is absent.
  std::vector<std::string> texts(const std::string& field) {
    const auto* value = find(field);
    if (value == nullptr) return {};
    const auto is_text = [](const nlohmann::json& item) {
      return item.is_string() && !item.get<std::string>().empty();
    };
    if (!value->is_array() || !std::ranges::all_of(*value, is_text)) fail(field, "is not a list of non-empty texts");
    return value->get<std::vector<std::string>>();
  }

  // An empty one if it is absent.
  format_fields object(const std::string& field) {
    static const nlohmann::json none = nlohmann::json::object();
    const auto* value = find(field);
    if (value != nullptr && !value->is_object())
      fail(field, "is of type " + std::string(value->type_name()) + ", expected an object");
    return {file_, name_ + field + ".", value == nullptr ? none : *value};
  }

  // A misspelled field would otherwise be ignored.
  void refuse_unknown() const {
    for (const auto& [name, ignored] : value_.items()) {
      if (std::ranges::find(known_, name) != known_.end()) continue;
      std::string all;
      for (const auto& each : known_) all += (all.empty() ? "" : ", ") + each;
      fail(name, "is unknown", "known fields are " + all);
    }
  }

 private:
  // Null if it is absent; the name counts as known from now on.
  const nlohmann::json* find(const std::string& field) {
    known_.push_back(field);
    const auto found = value_.find(field);
    return found == value_.end() ? nullptr : &*found;
  }

  std::string file_, name_;
  const nlohmann::json& value_;
  std::vector<std::string> known_;
};

}  // namespace

chat_format load_chat_format(const std::filesystem::path& path) {
  const nlohmann::json document = read_json(path, std::size_t{1} << 20);
  if (!document.is_object())
    throw file_error(path.string(), "", "is not a JSON object", "write {\"user\": {\"prefix\": …}, …}");
  format_fields all(path.string(), "", document);
  format_fields system = all.object("system"), user = all.object("user"), assistant = all.object("assistant");
  chat_format out;
  out.name = all.text("name", path.stem().string());
  out.default_system = system.text("default");
  out.system_prefix = system.text("prefix");
  out.system_suffix = system.text("suffix");
  out.system_inside_user = system.is_second_choice("place", "before_user", "inside_user");
  out.user_prefix = user.text("prefix");
  out.user_suffix = user.text("suffix");
  out.assistant_prefix = assistant.text("prefix");
  out.response_prefix = assistant.text("response_prefix");
  out.history_gap = assistant.text("history_gap");
  out.assistant_suffix = assistant.text("suffix");
  out.begin_each_exchange = all.is_second_choice("begin_token", "conversation", "each_exchange");
  out.end_each_reply = all.is_second_choice("end_token", "none", "each_reply");
  out.trim_messages = all.boolean("trim");
  out.stop = all.texts("stop");
  for (const auto* part : {&system, &user, &assistant, &all}) part->refuse_unknown();
  if (out.assistant_prefix.empty() && out.user_suffix.empty())
    assistant.fail("prefix", "is empty, and so is \"user.suffix\": nothing separates question and answer",
                   "set one of them");
  if (out.begin_each_exchange && !out.end_each_reply)
    all.fail("begin_token", "is \"each_exchange\" and \"end_token\" is not \"each_reply\"",
             "a begin token can only follow an exchange that was ended");
  return out;
}

}  // namespace coho::trainer
