#include "tokenizer/tokenizer_files.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/json_file.hpp"
#include "files/json_part.hpp"
#include "tokenizer_json/post_processor.hpp"
#include "tokenizer_json/token_pipeline.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// A whole number that may be the id of a token.
token read_id(const json_part& part) {
  constexpr std::int64_t largest_id = std::int64_t{1} << 30;
  const auto& value = part.value();
  if (!value.is_number_integer() || value < 0 || value > largest_id) part.refuse("must be the id of a token");
  return value.get<token>();
}

// One id, or a list of them.
std::vector<token> read_ids(const json_part& part) {
  if (!part.value().is_array()) return {read_id(part)};
  std::vector<token> out;
  for (const auto& each : part.items()) out.push_back(read_id(each));
  return out;
}

// A token is a text, or an object with the text as "content".
std::string read_token_text(const json_part& part) {
  const auto* text = part.value().is_object() ? part.find("content") : &part.value();
  if (!text || !text->is_string()) part.refuse("must be a token's text");
  return text->get<std::string>();
}

// An added token with the flags of the object that describes it; a flag of another type counts as false.
added_token read_added_token(const json_part& part, std::string text, token id) {
  const auto flag = [&](const char* name) {
    const auto* given = part.find(name);
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

class tokenizer_files_reader {
 public:
  explicit tokenizer_files_reader(const fs::path& directory) : directory_(directory) {}

  // Added tokens in decreasing precedence: where there is a tokenizer.json, texts are tokenised by it.
  tokenizer_files read() {
    out_.has_json = visit_file("tokenizer.json", [&](const json_part& json) { read_tokenizer_json(json); });
    bool describes_tokens = false;
    out_.has_config = visit_file("tokenizer_config.json", [&](const json_part& config) {
      read_config(config);
      describes_tokens = config.has("added_tokens_decoder");
    });
    if (!describes_tokens)
      visit_file("special_tokens_map.json",
                 [&](const json_part& map) { read_special_tokens(map, "special_tokens_map.json"); });
    visit_file("added_tokens.json", [&](const json_part& added) { read_added(added); });
    visit_file("generation_config.json", [&](const json_part& generation) {
      if (generation.has("eos_token_id")) out_.generation_ends = read_ids(generation.at("eos_token_id"));
    });
    visit_file("config.json", [&](const json_part& model) {
      const auto* begin = model.find("bos_token_id");
      if (begin && begin->is_number_integer() && *begin >= 0) out_.model_begin = read_id(model.at("bos_token_id"));
    });
    std::ranges::sort(out_.added, {}, &added_token::id);
    return std::move(out_);
  }

 private:
  // Calls `read` with the document of a file; false if there is no such file.
  template <class Read>
  bool visit_file(const std::string& file, Read read) const {
    const auto path = directory_ / file;
    std::error_code none;
    if (!fs::exists(path, none)) return false;
    const bool vocabulary = file == "tokenizer.json";
    const auto json = read_json(path, vocabulary ? tokenizer_json_limit : std::size_t{64} << 20);
    const std::string name = path.string();
    const json_part document(json, name, "", vocabulary ? tokenizer_json_mend : std::string_view());
    if (!json.is_object()) document.refuse("is not a JSON object");
    read(document);
    return true;
  }

  // The tokens with a role (begin, end, padding, …), of tokenizer_config.json or special_tokens_map.json: all are
  // special. A later file replaces an earlier one's, as transformers does; null says that there is none.
  void read_special_tokens(const json_part& json, const char* file) {
    const auto read = [&](const char* field, tokenizer_files::named_token& out) {
      if (json.is_null(field)) {
        out = {true, {}, file};
      } else if (json.has(field)) {
        const auto text = read_token_text(json.at(field));
        if (text.empty()) return;  // old conversions have "" for what they did not know
        out = {true, text, file};
        special_.insert(text);
      }
    };
    read("bos_token", out_.begin);
    read("eos_token", out_.end);
    tokenizer_files::named_token other;
    for (const char* field : {"pad_token", "unk_token", "sep_token", "cls_token", "mask_token"}) read(field, other);
    for (const char* field : {"additional_special_tokens", "extra_special_tokens"}) {
      const auto* list = json.find(field);
      if (!list || !list->is_array()) continue;
      for (const auto& each : json.items(field)) special_.insert(read_token_text(each));
    }
  }

  // tokenizer_config.json: names, whether begin and end tokens are added, added tokens by id.
  void read_config(const json_part& json) {
    constexpr const char* file = "tokenizer_config.json";
    read_special_tokens(json, file);
    if (json.has("add_bos_token")) out_.add_begin = json.boolean("add_bos_token", false);
    if (json.has("add_eos_token")) out_.add_end = json.boolean("add_eos_token", false);
    if (!json.has("added_tokens_decoder")) return;
    const auto added = json.at("added_tokens_decoder");
    if (!added.value().is_object()) added.refuse("must be an object");
    for (const auto& [key, ignored] : added.value().items()) {
      token number = -1;
      const auto end = key.data() + key.size();
      if (std::from_chars(key.data(), end, number).ptr != end || number < 0 || number > (1 << 30))
        added.refuse_member(key, "is not the id of a token");
      const auto described = added.at(key);
      add(read_added_token(described, read_token_text(described), number), file);
    }
  }

  // {"text": id, …}
  void read_added(const json_part& json) {
    for (const auto& [text, ignored] : json.value().items())
      add({.text = text, .id = read_id(json.at(text)), .special = special_.contains(text)}, "added_tokens.json");
  }

  // Its added tokens, and the tokens of its template; its vocabulary is read by token_pipeline.
  void read_tokenizer_json(const json_part& json) {
    if (const auto* added = json.find("added_tokens"); added && added->is_array()) {
      for (const auto& each : json.items("added_tokens")) {
        if (!each.value().is_object() || !each.has("id")) each.refuse("must be an object with an id");
        add(read_added_token(each, read_token_text(each), read_id(each.at("id"))), "tokenizer.json");
      }
    }
    if (json.has("post_processor")) {
      auto around = read_text_template(json.at("post_processor"));
      out_.json_begin = std::move(around.begin);
      out_.json_end = std::move(around.end);
    }
  }

  // Adds a token; what an earlier file said about its text or id takes precedence.
  void add(added_token next, const char* file) {
    if (next.text.empty())
      throw file_error((directory_ / file).string(), std::to_string(next.id), "is a token without text",
                       "put the model's own file there");
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
  std::set<std::string> special_;  // texts of the tokens that have a role
};

}  // namespace

tokenizer_files read_tokenizer_files(const fs::path& directory) { return tokenizer_files_reader(directory).read(); }

}  // namespace coho::trainer
