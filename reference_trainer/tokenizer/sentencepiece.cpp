#include "tokenizer/sentencepiece.hpp"

#include <algorithm>
#include <utility>

#include <coho/concepts.hpp>
#include <coho/error.hpp>

#include "files/file_kind.hpp"
#include "files/read_file.hpp"
#include "text/utf8.hpp"
#include "tokenizer/sentencepiece_library.hpp"
#include "tokenizer/sentencepiece_model.hpp"
#include "tokenizer_json/byte_fallback.hpp"

namespace coho::trainer {

static_assert(coho::tokenizer<sentencepiece_tokenizer>);

namespace {

constexpr std::string_view space_symbol = "\xE2\x96\x81";

// The bytes that a piece adds to a text: its spelling with spaces for "▁"; none for a control piece.
std::string piece_surface(const sentencepiece_piece& piece, std::string_view unk_surface) {
  switch (piece.type) {
    case piece_type::control:
      return {};
    case piece_type::unknown:
      return std::string(unk_surface);
    case piece_type::byte:
      return std::string(1, static_cast<char>(*parse_byte_piece(piece.text)));  // checked by parse_sentencepiece_model
    default:
      break;
  }
  std::string surface(piece.text);
  for (std::size_t at = 0; (at = surface.find(space_symbol, at)) != std::string::npos; ++at) {
    surface.replace(at, space_symbol.size(), " ");
  }
  return surface;
}

/// Refuses tokenizers of other kinds by their first bytes, before they are parsed as something they are not.
void refuse_other_kinds_of_tokenizer(std::string_view bytes, std::string_view path) {
  if (bytes.find_first_not_of(" \t\r\n") == std::string_view::npos)
    throw file_error(path, "", "is empty", "use a sentencepiece tokenizer.model");
  refuse_other_kinds(path, bytes, file_use::tokenizer);
}

}  // namespace

struct sentencepiece_tokenizer::state {
  std::string bytes;
  sentencepiece_model model;
  std::vector<std::string> surfaces;
  std::unique_ptr<const sentencepiece_library::processor> processor;
};

struct sentencepiece_tokenizer::extension {
  token bos = -1, eos = -1;
  std::vector<added_token> beyond;  ///< index: id minus the number of pieces; without text: no token
  std::vector<special_token> special;
};

sentencepiece_tokenizer sentencepiece_tokenizer::from_file(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return from_bytes(read_file(path, sentencepiece_size_limit), path.string());
  const auto inside = path / "tokenizer.model";
  if (std::filesystem::is_directory(inside))
    throw file_error(inside.string(), "", "is a directory, but a file is needed");
  if (std::filesystem::exists(inside)) return from_file(inside);
  throw file_error(inside.string(), "", "no such file", "put the model's sentencepiece tokenizer next to its weights");
}

sentencepiece_tokenizer sentencepiece_tokenizer::from_bytes(std::string bytes, std::string_view path) {
  refuse_other_kinds_of_tokenizer(bytes, path);
  auto loaded = std::make_shared<state>();
  loaded->bytes = std::move(bytes);
  loaded->model = parse_sentencepiece_model(loaded->bytes, path);
  for (const auto& piece : loaded->model.pieces)
    loaded->surfaces.push_back(piece_surface(piece, loaded->model.unk_surface));
  std::string refusal;
  loaded->processor = sentencepiece().load(loaded->bytes, refusal);
  if (!loaded->processor) throw file_error(path, "", "is rejected by the sentencepiece library: " + refusal);
  if (static_cast<std::size_t>(loaded->processor->size()) != loaded->model.pieces.size()) {
    throw file_error(path, "", "is ambiguous: the sentencepiece library finds a different number of pieces");
  }
  const token bos = loaded->model.bos, eos = loaded->model.eos;
  return sentencepiece_tokenizer(std::move(loaded), nullptr).with_tokens({}, bos, eos);
}

sentencepiece_tokenizer sentencepiece_tokenizer::with_tokens(const std::vector<added_token>& added, token bos,
                                                             token eos) const {
  const auto& pieces = state_->model.pieces;
  auto out = std::make_shared<extension>();
  out->bos = bos;
  out->eos = eos;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].type == piece_type::control)
      out->special.push_back({std::string(pieces[i].text), static_cast<token>(i)});
  }
  for (const auto& each : added) {
    require_argument(each.id >= 0 && !each.text.empty(), "with_tokens: a token without text or with an id below 0");
    const auto place = static_cast<std::size_t>(each.id);
    // What the files repeat about pieces is already known; the unknown piece has no text.
    if (place < pieces.size()) {
      const bool known =
          pieces[place].text == each.text && (!each.special || pieces[place].type == piece_type::control);
      if (known || pieces[place].type == piece_type::unknown) continue;
    } else {
      if (out->beyond.size() <= place - pieces.size()) out->beyond.resize(place - pieces.size() + 1);
      out->beyond[place - pieces.size()] = each;
    }
    out->special.push_back({each.text, each.id});
  }
  return sentencepiece_tokenizer(state_, std::move(out));
}

std::shared_ptr<const text_tokenizer> sentencepiece_tokenizer::extended(const std::vector<added_token>& added,
                                                                        token bos, token eos) const {
  return std::make_shared<sentencepiece_tokenizer>(with_tokens(added, bos, eos));
}

const added_token* sentencepiece_tokenizer::added(token id) const {
  check_id(id);
  const auto place = static_cast<std::size_t>(id), pieces = state_->surfaces.size();
  return place < pieces ? nullptr : &more_->beyond[place - pieces];
}

std::vector<token> sentencepiece_tokenizer::encode(std::string_view text) const {
  std::vector<int> ids;
  const auto refusal = state_->processor->encode(text, ids);
  if (!refusal.empty()) throw argument_error("encode: " + refusal);
  return {ids.begin(), ids.end()};
}

std::string sentencepiece_tokenizer::decode(std::span<const token> tokens) const {
  std::string bytes;
  bool first = state_->model.add_dummy_prefix || state_->model.remove_extra_whitespaces;
  for (const token id : tokens) {
    auto surface = token_bytes(id);
    if (first && !surface.empty()) {
      const auto type = added(id) ? piece_type::control : state_->model.pieces[static_cast<std::size_t>(id)].type;
      const bool spaced = (type == piece_type::normal || type == piece_type::user_defined) && surface.front() == ' ';
      if (spaced) surface.remove_prefix(1);
      // A model that squeezes spaces has no leading spaces at all.
      first = spaced && surface.empty() && state_->model.remove_extra_whitespaces;
    }
    bytes += surface;
  }
  return repair_utf8(bytes);
}

std::string_view sentencepiece_tokenizer::token_bytes(token id) const {
  if (const auto* other = added(id)) return other->special ? std::string_view() : std::string_view(other->text);
  return state_->surfaces[static_cast<std::size_t>(id)];
}

token sentencepiece_tokenizer::bos() const noexcept { return more_->bos; }
token sentencepiece_tokenizer::eos() const noexcept { return more_->eos; }
token sentencepiece_tokenizer::pad() const noexcept { return state_->model.pad; }
token sentencepiece_tokenizer::unk() const noexcept { return state_->model.unk; }
std::size_t sentencepiece_tokenizer::size() const noexcept { return state_->surfaces.size() + more_->beyond.size(); }
std::size_t sentencepiece_tokenizer::model_size() const noexcept { return state_->surfaces.size(); }
const std::vector<special_token>& sentencepiece_tokenizer::special_tokens() const noexcept { return more_->special; }
const std::string& sentencepiece_tokenizer::serialized() const noexcept { return state_->bytes; }

std::string_view sentencepiece_tokenizer::piece(token id) const {
  if (const auto* other = added(id)) return other->text;
  return state_->model.pieces[static_cast<std::size_t>(id)].text;
}

token sentencepiece_tokenizer::piece_to_id(std::string_view piece) const {
  for (const auto& special : more_->special)
    if (special.text == piece) return special.id;
  return state_->processor->piece_to_id(piece);
}

bool sentencepiece_tokenizer::is_control(token id) const {
  if (const auto* other = added(id)) return other->special || other->text.empty();
  return state_->model.pieces[static_cast<std::size_t>(id)].type == piece_type::control;
}

}  // namespace coho::trainer
