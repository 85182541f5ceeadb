#include "tokenizer/special_token_ids.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <coho/error.hpp>

#include "tokenizer/tokenizer_files.hpp"

namespace coho::trainer {
namespace {

bool contains_token(const std::vector<token>& list, token id) { return std::ranges::find(list, id) != list.end(); }

// The steps in order: later ones use what earlier ones decided.
class special_token_decision {
 public:
  special_token_decision(std::filesystem::path directory, const text_tokenizer& tokenizer, std::int64_t vocabulary)
      : directory_(std::move(directory)),
        tokenizer_(tokenizer),
        vocabulary_(vocabulary),
        files_(read_tokenizer_files(directory_)) {
    out_.contradictions = std::move(files_.contradictions);
  }

  // `model_ends`: the end tokens of config.json.
  special_token_ids decide(const std::vector<std::int64_t>& model_ends) {
    keep_usable_added_tokens();
    decide_begin();
    decide_ends(model_ends);
    return std::move(out_);
  }

 private:
  // Each says which of the two is used.
  void note_contradiction(std::string what) { out_.contradictions.push_back(std::move(what)); }

  // For messages: 2 ("</s>").
  std::string describe_token(token id) const {
    std::string text;
    for (const auto& each : out_.added)
      if (each.id == id) text = each.text;
    if (text.empty() && id >= 0 && static_cast<std::size_t>(id) < tokenizer_.size()) text = tokenizer_.piece(id);
    return std::to_string(id) + (text.empty() ? "" : " (\"" + text + "\")");
  }
  // All of them, separated by commas, for a notice.
  std::string describe_tokens(const std::vector<token>& list) const {
    std::string out;
    for (const token id : list) out += (out.empty() ? "" : ", ") + describe_token(id);
    return out;
  }

  // The added tokens of the files that the model has a row for.
  void keep_usable_added_tokens() {
    for (auto& each : files_.added) {
      if (each.id >= vocabulary_) {
        note_contradiction("the added token \"" + each.text + "\" has the id " + std::to_string(each.id) +
                           ", beyond the model's vocabulary of " + std::to_string(vocabulary_) + ": it is not used");
      } else {
        out_.added.push_back(std::move(each));
      }
    }
  }

  /// The id of a token that a file names by its text.
  std::optional<token> find(const tokenizer_files::named_token& named, const char* field) {
    if (named.text.empty()) return std::nullopt;
    for (const auto& each : out_.added)
      if (each.text == named.text) return each.id;
    const token id = tokenizer_.piece_to_id(named.text);
    if (id >= 0 && tokenizer_.piece(id) == named.text) return id;
    note_contradiction(named.file + "'s " + field + " \"" + named.text +
                       "\" is not a token of this tokenizer: its own is used");
    return std::nullopt;
  }

  // The begin token of a text, and the tokenizer's own, by the rules of the header.
  void decide_begin() {
    const bool none = files_.begin.given && files_.begin.text.empty();
    out_.begin_piece = find(files_.begin, "bos_token").value_or(tokenizer_.bos());
    if (files_.has_json) {
      out_.begin = files_.json_begin.empty() ? -1 : files_.json_begin.front();
      if (out_.begin >= vocabulary_)
        throw file_error((directory_ / "tokenizer.json").string(), "post_processor",
                         "puts the token " + std::to_string(out_.begin) + " before texts, beyond the vocabulary");
      if (files_.add_begin && *files_.add_begin != (out_.begin >= 0))
        note_contradiction(std::string("tokenizer_config.json's add_bos_token is ") +
                           (*files_.add_begin ? "true" : "false") + ", tokenizer.json's template prepends " +
                           (out_.begin >= 0 ? describe_token(out_.begin) : "no token") + " to texts, which is used");
    } else if (!none) {
      out_.begin = files_.add_begin.value_or(true) ? out_.begin_piece : -1;
      if (out_.begin >= 0 && files_.has_config && !files_.add_begin)
        note_contradiction("tokenizer_config.json does not set add_bos_token: " + describe_token(out_.begin) +
                           " is prepended to every text");
    }
    if (out_.begin >= 0) out_.begin_piece = out_.begin;
    if (out_.begin >= 0 && files_.model_begin && *files_.model_begin != out_.begin)
      note_contradiction("config.json's bos_token_id is " + describe_token(*files_.model_begin) +
                         ", the tokenizer's begin token " + describe_token(out_.begin) + ", which is used");
    if (files_.add_end.value_or(false) || !files_.json_end.empty())
      note_contradiction(std::string(files_.json_end.empty() ? "tokenizer_config.json's add_eos_token is true"
                                                             : "tokenizer.json's template appends a token") +
                         ": prompts are continued, so none is appended to them");
  }

  /// Without tokens that cannot end a response.
  std::vector<token> usable_ends(const std::vector<token>& given, const std::string& source, token own) {
    std::vector<token> out;
    for (const token id : given) {
      const bool begins = id == out_.begin_piece, unknown = id == tokenizer_.unk();
      if (id != own && (begins || unknown)) {
        note_contradiction(
            source + "'s eos_token_id " + describe_token(id) + " is the tokenizer's " + (begins ? "begin" : "unknown") +
            " token: " +
            (own >= 0 ? "its end token " + describe_token(own) + " is used" : "it does not end responses"));
      } else if (!contains_token(out, id)) {
        out.push_back(id);
      }
    }
    return out;
  }

  // The tokens at which a response ends, and the first of them, which is trained.
  void decide_ends(const std::vector<std::int64_t>& model_ends) {
    const auto declared = find(files_.end, "eos_token");
    const token own = declared.value_or(tokenizer_.eos());
    for (const token id : files_.generation_ends) {
      if (id >= vocabulary_)
        throw file_error((directory_ / "generation_config.json").string(), "eos_token_id",
                         std::to_string(id) + " is beyond the model's vocabulary of " + std::to_string(vocabulary_));
    }
    const std::vector<token> of_model(model_ends.begin(), model_ends.end());
    const bool generation = !files_.generation_ends.empty();
    const auto& given = generation ? files_.generation_ends : of_model;
    out_.ends = usable_ends(given, generation ? "generation_config.json" : "config.json", own);
    if (generation && !of_model.empty() &&
        std::ranges::none_of(of_model, [&](token id) { return contains_token(given, id); }))
      note_contradiction("generation_config.json's end tokens are used: " + describe_tokens(given) +
                         ", not config.json's " + describe_tokens(of_model));
    if (out_.ends.empty() && own >= 0) out_.ends.push_back(own);
    if (out_.ends.empty())
      throw file_error(directory_.string(), "",
                       "no file names an end token, and " + std::string(tokenizer_.file_name()) + " has none",
                       "give eos_token_id in config.json");
    out_.end = declared                                      ? *declared
               : contains_token(out_.ends, tokenizer_.eos()) ? tokenizer_.eos()
                                                             : out_.ends.front();
    const auto place = std::ranges::find(out_.ends, out_.end);
    if (place == out_.ends.end()) {
      note_contradiction(files_.end.file + "'s eos_token is " + describe_token(out_.end) +
                         ", which is trained as the end; responses end there " + "and at " +
                         describe_tokens(out_.ends));
      out_.ends.insert(out_.ends.begin(), out_.end);
    } else {
      std::rotate(out_.ends.begin(), place, place + 1);
    }
  }

  std::filesystem::path directory_;
  const text_tokenizer& tokenizer_;
  std::int64_t vocabulary_;
  tokenizer_files files_;
  special_token_ids out_;
};

}  // namespace

special_token_ids read_special_token_ids(const std::filesystem::path& directory, const text_tokenizer& tokenizer,
                                         std::int64_t vocabulary, const std::vector<std::int64_t>& model_ends) {
  return special_token_decision(directory, tokenizer, vocabulary).decide(model_ends);
}

}  // namespace coho::trainer
