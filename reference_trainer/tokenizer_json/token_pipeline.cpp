#include "tokenizer_json/token_pipeline.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/file_kind.hpp"
#include "files/json_text.hpp"
#include "files/read_file.hpp"
#include "text/utf8.hpp"
#include "tokenizer_json/byte_pairs.hpp"
#include "tokenizer_json/decoder.hpp"
#include "tokenizer_json/normalizer.hpp"
#include "tokenizer_json/post_processor.hpp"
#include "tokenizer_json/pre_tokenizer.hpp"
#include "tokenizer_json/word_cache.hpp"

namespace coho::trainer {
namespace {

// As read_json does, with this file's mend, and without a byte order mark, which the library refuses too.
nlohmann::json parse_document(std::string_view text, std::string_view path) {
  constexpr auto mend = tokenizer_json_mend;
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) throw file_error(path, "", "is empty", mend);
  if (text.starts_with("\xEF\xBB\xBF"))
    throw file_error(path, "byte 1", "begins with a byte order mark, which other programs refuse", "save it without");
  nlohmann::json out;
  if (const auto fault = parse_json(text, out)) {
    refuse_other_kinds(path, text, file_use::document);
    throw file_error(path, "byte " + std::to_string(fault->byte),
                     fault->byte > text.size() ? "ends in the middle of the document"
                     : fault->what.empty()     ? "is not a JSON document"
                                               : fault->what,
                     fault->mend.empty() ? mend : std::string_view(fault->mend));
  }
  if (!out.is_object()) throw file_error(path, "", "is not a JSON object", mend);
  return out;
}

/// The ids that the library gives to added tokens: those of pieces with the same text, else the next ones. A file that
/// says otherwise has been edited, and nobody knows which rows of the embedding its tokens have.
std::vector<added_token> read_added_tokens(const json_part& file, const vocabulary& pieces) {
  std::vector<added_token> out;
  if (!file.has("added_tokens")) return out;
  auto next = static_cast<token>(pieces.count());
  for (const auto& part : file.items("added_tokens")) {
    added_token each{.text = part.text("content"),
                     .id = static_cast<token>(part.whole_number("id")),
                     .special = part.boolean("special", false),
                     .single_word = part.boolean("single_word", false),
                     .lstrip = part.boolean("lstrip", false),
                     .rstrip = part.boolean("rstrip", false),
                     .normalized = part.boolean("normalized", true)};
    if (each.text.empty()) part.refuse_member("content", "is empty");
    if (std::ranges::any_of(out, [&](const auto& other) { return other.text == each.text; }))
      part.refuse_member("content", "\"" + each.text + "\" is added twice");
    const token known = pieces.find(each.text), expected = known >= 0 ? known : next++;
    if (each.id != expected)
      part.refuse_member("id",
                         "is " + std::to_string(each.id) + ", but \"" + each.text + "\" gets " +
                             std::to_string(expected) +
                             (known >= 0 ? ", its id in the vocabulary" : ", the next one after the vocabulary"),
                         "list added tokens in the order of their ids, without gaps");
    out.push_back(std::move(each));
  }
  return out;
}

}  // namespace

struct token_pipeline::parts {
  byte_pair_model model;
  text_normalizer normalizer;
  word_splitter splitter;
  text_decoder decoder;
  text_template around;
  mutable word_cache_pool caches;

  // A part that is missing or null does nothing.
  explicit parts(const json_part& file) : model(file.at("model")) {
    if (file.has("normalizer")) normalizer = text_normalizer(file.at("normalizer"));
    if (file.has("pre_tokenizer")) splitter = word_splitter(file.at("pre_tokenizer"));
    if (file.has("decoder")) decoder = text_decoder(file.at("decoder"));
    if (file.has("post_processor")) around = read_text_template(file.at("post_processor"));
  }
};

struct token_pipeline::added_parts {
  std::vector<added_token> tokens;
  std::map<token, std::string> normalized;  ///< of tokens that are searched for in another form than they have
  added_token_finder before, after;         ///< the normalizer

  // Tokens that the normalizer may change are searched for after it, in the form that it gives them.
  added_parts(std::vector<added_token> added, const text_normalizer& normalizer) : tokens(std::move(added)) {
    std::ranges::sort(tokens, {}, &added_token::id);
    std::vector<added_token_finder::entry> raw, read;
    for (const auto& each : tokens) {
      if (!each.normalized) {
        raw.push_back({each.text, &each});
        continue;
      }
      auto text = normalizer(each.text);
      if (text != each.text) normalized[each.id] = text;
      // Two tokens may read the same after the normalizer, or one may vanish: the first is found, or none.
      if (!text.empty() && std::ranges::none_of(read, [&](const auto& other) { return other.text == text; }))
        read.push_back({std::move(text), &each});
    }
    before = added_token_finder(std::move(raw));
    after = added_token_finder(std::move(read));
  }
};

token_pipeline token_pipeline::from_file(const std::filesystem::path& path) {
  return from_text(read_file(path, tokenizer_json_limit), path.string());
}

token_pipeline token_pipeline::from_text(std::string_view json, std::string_view path) {
  const auto document = parse_document(json, path);
  const json_part file(document, path, "", tokenizer_json_mend);
  if (file.has("version") && file.text("version") != "1.0")
    file.refuse_member("version", "\"" + file.text("version") + "\" is not known", "save it with a version of 1.0");
  token_pipeline out;
  out.parts_ = std::make_shared<parts>(file);
  return out.with_added_tokens(read_added_tokens(file, out.parts_->model.pieces()));
}

token_pipeline token_pipeline::with_added_tokens(std::vector<added_token> added) const {
  token_pipeline out = *this;
  out.added_ = std::make_shared<added_parts>(std::move(added), parts_->normalizer);
  return out;
}

std::vector<token> token_pipeline::encode(std::string_view given, token_text form) const {
  std::string repaired;
  if (!is_utf8(given)) repaired = repair_utf8(given);
  const std::string_view text = repaired.empty() ? given : repaired;
  const bool special = form == token_text::marked;
  const word_cache_pool::lease cache(parts_->caches);
  std::vector<token> out;
  std::vector<token_part> stretches, inner;
  added_->before.split(text, special, stretches);
  for (const auto& stretch : stretches) {
    if (stretch.id >= 0) {
      out.push_back(stretch.id);
      continue;
    }
    const bool change = !parts_->normalizer.empty();
    const std::string changed = change ? parts_->normalizer(stretch.text) : std::string();
    inner.clear();
    added_->after.split(change ? std::string_view(changed) : stretch.text, special, inner);
    for (const auto& part : inner) {
      if (part.id >= 0) {
        out.push_back(part.id);
        continue;
      }
      word_list list;
      list.words.push_back(part.text);
      list.at_beginning = stretch.text.data() == text.data() && &part == &inner.front();
      parts_->splitter(list);
      for (const auto word : list.words) (*cache).encode(parts_->model, word, out);
    }
  }
  return out;
}

std::string token_pipeline::decoded_piece(token id) const {
  const auto other = added_->normalized.find(id);
  return other == added_->normalized.end() ? std::string(piece(id)) : other->second;
}

std::string token_pipeline::decode(std::span<const token> tokens) const {
  std::vector<std::string> pieces;
  for (const token id : tokens) {
    const auto* known = added(id);
    if (known && known->special) continue;
    if (known || !piece(id).empty()) pieces.push_back(decoded_piece(id));
  }
  return parts_->decoder(std::move(pieces));
}

std::string token_pipeline::bytes(token id) const {
  return piece(id).empty() ? std::string() : parts_->decoder.bytes(decoded_piece(id));
}

const std::vector<token>& token_pipeline::begin_tokens() const noexcept { return parts_->around.begin; }
const std::vector<added_token>& token_pipeline::added() const noexcept { return added_->tokens; }

const added_token* token_pipeline::added(token id) const noexcept {
  const auto found = std::ranges::lower_bound(added_->tokens, id, {}, &added_token::id);
  return found == added_->tokens.end() || found->id != id ? nullptr : &*found;
}

std::string_view token_pipeline::piece(token id) const noexcept {
  const auto* known = added(id);
  return known ? std::string_view(known->text) : parts_->model.pieces().piece(id);
}

token token_pipeline::find(std::string_view piece) const noexcept {
  const auto found = std::ranges::find(added_->tokens, piece, &added_token::text);
  return found == added_->tokens.end() ? parts_->model.pieces().find(piece) : found->id;
}

token token_pipeline::unknown() const noexcept { return parts_->model.unknown(); }
std::size_t token_pipeline::model_size() const noexcept { return parts_->model.pieces().size(); }

std::size_t token_pipeline::size() const noexcept {
  const auto last = added_->tokens.empty() ? std::size_t{0} : static_cast<std::size_t>(added_->tokens.back().id) + 1;
  return std::max(model_size(), last);
}

}  // namespace coho::trainer
