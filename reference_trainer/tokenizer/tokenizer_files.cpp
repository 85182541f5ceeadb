#include "tokenizer/tokenizer_files.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/json_file.hpp"
#include "tokenizer_json/post_processor.hpp"
#include "tokenizer_json/token_pipeline.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t largest_id = std::int64_t{1} << 30;

const nlohmann::json* member(const nlohmann::json& object, const char* field) {
  const auto found = object.find(field);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

class files_reader {
 public:
  explicit files_reader(const fs::path& directory) : directory_(directory) {}

  tokenizer_files read() {
    // Where there is a tokenizer.json, texts are tokenised by it: what it says takes precedence.
    if (const auto json = open("tokenizer.json", tokenizer_json_limit); json.is_object()) read_tokenizer_json(json);
    const auto config = open("tokenizer_config.json");
    out_.has_config = config.is_object();
    if (out_.has_config) read_config(config);
    if (!out_.has_config || !member(config, "added_tokens_decoder")) {
      if (const auto map = open("special_tokens_map.json"); map.is_object()) read_names(map, "special_tokens_map.json");
    }
    if (const auto added = open("added_tokens.json"); added.is_object()) read_added(added);
    if (const auto generation = open("generation_config.json"); generation.is_object()) {
      if (const auto* ends = member(generation, "eos_token_id"))
        out_.generation_ends = ids("generation_config.json", "eos_token_id", *ends);
    }
    if (const auto model = open("config.json"); model.is_object()) {
      const auto* begin = member(model, "bos_token_id");
      if (begin && begin->is_number_integer() && *begin >= 0)
        out_.model_begin = id("config.json", "bos_token_id", *begin);
    }
    std::ranges::sort(out_.added, {}, &added_token::id);
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const char* file, const std::string& field, const std::string& what) const {
    throw file_error((directory_ / file).string(), field, what);
  }

  /// null if there is no such file
  nlohmann::json open(const char* file, std::size_t limit = std::size_t{64} << 20) const {
    const auto path = directory_ / file;
    std::error_code none;
    if (!fs::exists(path, none)) return nullptr;
    auto json = read_json(path, limit);
    if (!json.is_object()) refuse(file, "", "is not a JSON object");
    return json;
  }

  token id(const char* file, const std::string& field, const nlohmann::json& value) const {
    if (!value.is_number_integer() || value < 0 || value > largest_id) refuse(file, field, "must be the id of a token");
    return value.get<token>();
  }
  std::vector<token> ids(const char* file, const std::string& field, const nlohmann::json& value) const {
    std::vector<token> out;
    if (!value.is_array()) return {id(file, field, value)};
    for (const auto& item : value) out.push_back(id(file, field, item));
    return out;
  }

  bool truth(const nlohmann::json& value, const char* field) const {
    if (!value.is_boolean()) refuse("tokenizer_config.json", field, "must be true or false");
    return value.get<bool>();
  }

  /// A token is a text, or an object with the text as "content".
  std::string text_of(const char* file, const std::string& field, const nlohmann::json& value) const {
    const auto* text = value.is_object() ? member(value, "content") : &value;
    if (!text || !text->is_string()) refuse(file, field, "must be a token's text");
    return text->get<std::string>();
  }

  void read_names(const nlohmann::json& json, const char* file) {
    const auto read = [&](const char* field, tokenizer_files::named_token& out) {
      const auto found = json.find(field);
      if (found == json.end()) return;
      if (found->is_null()) {
        out = {true, {}, file};
      } else if (const auto text = text_of(file, field, *found); !text.empty()) {
        // Old conversions have "" for what they did not know.
        out = {true, text, file};
        special_.insert(text);
      }
    };
    read("bos_token", out_.begin);
    read("eos_token", out_.end);
    tokenizer_files::named_token other;
    for (const char* field : {"pad_token", "unk_token", "sep_token", "cls_token", "mask_token"}) read(field, other);
    for (const char* field : {"additional_special_tokens", "extra_special_tokens"}) {
      const auto* list = member(json, field);
      if (!list || !list->is_array()) continue;
      for (const auto& item : *list) special_.insert(text_of(file, field, item));
    }
  }

  /// An added token with the flags of an object that describes it.
  static added_token described(const nlohmann::json& value, std::string text, token id) {
    const auto flag = [&](const char* name) {
      const auto* given = value.is_object() ? member(value, name) : nullptr;
      return given && given->is_boolean() && given->get<bool>();
    };
    return {.text = std::move(text),
            .id = id,
            .special = flag("special"),
            .single_word = flag("single_word"),
            .lstrip = flag("lstrip"),
            .rstrip = flag("rstrip"),
            .normalized = flag("normalized")};
  }

  void read_config(const nlohmann::json& json) {
    constexpr const char* file = "tokenizer_config.json";
    read_names(json, file);
    if (const auto* value = member(json, "add_bos_token")) out_.add_begin = truth(*value, "add_bos_token");
    if (const auto* value = member(json, "add_eos_token")) out_.add_end = truth(*value, "add_eos_token");
    const auto* added = member(json, "added_tokens_decoder");
    if (!added) return;
    if (!added->is_object()) refuse(file, "added_tokens_decoder", "must be an object");
    for (const auto& [key, value] : added->items()) {
      const auto field = "added_tokens_decoder." + key;
      token number = -1;
      const auto end = key.data() + key.size();
      if (std::from_chars(key.data(), end, number).ptr != end || number < 0 || number > largest_id)
        refuse(file, field, "is not the id of a token");
      add(described(value, text_of(file, field, value), number), file);
    }
  }

  void read_added(const nlohmann::json& json) {
    constexpr const char* file = "added_tokens.json";
    for (const auto& [text, value] : json.items())
      add({.text = text, .id = id(file, text, value), .special = special_.contains(text)}, file);
  }

  void read_tokenizer_json(const nlohmann::json& json) {
    constexpr const char* file = "tokenizer.json";
    out_.has_json = true;
    if (const auto* added = member(json, "added_tokens"); added && added->is_array()) {
      for (const auto& item : *added) {
        if (!item.is_object() || !member(item, "id")) refuse(file, "added_tokens", "must hold objects with an id");
        add(described(item, text_of(file, "added_tokens", item), id(file, "added_tokens", item["id"])), file);
      }
    }
    const std::string path = (directory_ / file).string();
    if (const auto* processor = member(json, "post_processor")) {
      auto around = read_text_template(json_part(*processor, path, "post_processor"));
      out_.json_begin = std::move(around.begin);
      out_.json_end = std::move(around.end);
    }
  }

  /// Adds a token; what an earlier file said about its text or id takes precedence.
  void add(added_token next, const char* file) {
    if (next.text.empty()) refuse(file, std::to_string(next.id), "is a token without text");
    for (auto& known : out_.added) {
      if (known.text != next.text && known.id != next.id) continue;
      if (known.text == next.text && known.id == next.id) {
        known.special = known.special || next.special;
      } else {
        out_.contradictions.push_back(std::string(file) + " has the token \"" + next.text + "\" as " +
                                      std::to_string(next.id) + ", another file \"" + known.text + "\" as " +
                                      std::to_string(known.id) + ", which is used");
      }
      return;
    }
    out_.added.push_back(std::move(next));
  }

  fs::path directory_;
  tokenizer_files out_;
  std::set<std::string> special_;  ///< texts of the tokens that have a role
};

}  // namespace

tokenizer_files read_tokenizer_files(const fs::path& directory) { return files_reader(directory).read(); }

}  // namespace coho::trainer
