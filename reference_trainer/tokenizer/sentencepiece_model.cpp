#include "tokenizer/sentencepiece_model.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <unordered_set>

#include <coho/error.hpp>

#include "files/file_kind.hpp"
#include "files/protobuf.hpp"
#include "text/utf8.hpp"
#include "tokenizer/character_map.hpp"
#include "tokenizer_json/byte_fallback.hpp"

namespace coho::trainer {
namespace {

constexpr std::size_t largest_vocabulary = std::size_t{1} << 20;

// Fields are numbered as in sentencepiece_model.proto; unknown ones are skipped.
class model_parser {
 public:
  explicit model_parser(std::string_view path) : path_(path) {}

  // ModelProto: pieces, trainer_spec, normalizer_spec, denormalizer_spec; its self-test data are skipped.
  sentencepiece_model parse(std::string_view bytes) {
    protobuf_reader reader(bytes);
    while (reader.next()) {
      if (reader.field() > 5) continue;
      if (!reader.is_bytes()) refuse("field " + std::to_string(reader.field()), "is not a message");
      switch (reader.field()) {
        case 1:
          read_piece(reader.bytes());
          break;
        case 2:
          read_trainer(reader.bytes());
          break;
        case 3:
          read_normalizer(reader.bytes(), "normalizer_spec", for_encoding);
          break;
        case 5:
          read_normalizer(reader.bytes(), "denormalizer_spec", for_decoding);
          break;
        default:
          break;
      }
    }
    if (!reader.ok()) refuse("", "is not a sentencepiece model (its protobuf is malformed or cut short)");
    check_model();
    return model_;
  }

 private:
  enum direction : bool { for_decoding, for_encoding };

  [[noreturn]] void refuse(const std::string& place, const std::string& what) const {
    throw file_error(path_, place, what, "put the model's own tokenizer.model there");
  }

  // ModelProto.SentencePiece: text, score, type.
  void read_piece(std::string_view bytes) {
    const auto place = "piece " + std::to_string(model_.pieces.size());
    if (model_.pieces.size() >= largest_vocabulary) refuse(place, "has more pieces than a vocabulary may have");
    sentencepiece_piece piece;
    std::uint64_t type = 1;
    protobuf_reader reader(bytes);
    while (reader.next()) {
      if (reader.field() == 1 && reader.is_bytes()) piece.text = reader.bytes();
      if (reader.field() == 2 && reader.is_fixed32()) piece.score = reader.real();
      if (reader.field() == 3 && reader.is_varint()) type = reader.number();
    }
    if (!reader.ok()) refuse(place, "is malformed");
    if (piece.text.empty()) refuse(place, "is empty");
    if (piece.text.size() > sentencepiece_piece_limit) refuse(place, "is longer than 1024 bytes");
    if (!is_utf8(piece.text) || piece.text.find('\0') != std::string_view::npos) refuse(place, "is not UTF-8 text");
    if (!std::isfinite(piece.score)) refuse(place, "has a score that is not finite");
    if (type < 1 || type > 6) refuse(place, "has the unknown type " + std::to_string(type));
    piece.type = static_cast<piece_type>(type);
    if (!texts_.insert(piece.text).second) refuse(place, "repeats an earlier piece");
    model_.pieces.push_back(piece);
  }

  // TrainerSpec, of which only what decides about tokens is read.
  void read_trainer(std::string_view bytes) {
    protobuf_reader reader(bytes);
    const auto id = [&] { return static_cast<token>(static_cast<std::int64_t>(reader.number())); };
    while (reader.next()) {
      switch (reader.field()) {
        case 3:
          model_type_ = reader.number();
          break;
        case 35:
          model_.byte_fallback = reader.number() != 0;
          break;
        case 40:
          model_.unk = id();
          break;
        case 41:
          model_.bos = id();
          break;
        case 42:
          model_.eos = id();
          break;
        case 43:
          model_.pad = id();
          break;
        case 44:
          if (reader.bytes().size() > sentencepiece_piece_limit || !is_utf8(reader.bytes())) {
            refuse("trainer_spec.unk_surface", "is not a short text");
          }
          model_.unk_surface = reader.bytes();
          break;
        default:
          break;
      }
    }
    if (!reader.ok()) refuse("trainer_spec", "is malformed");
  }

  // NormalizerSpec. The character map is checked for both directions; only encoding has options that matter here.
  void read_normalizer(std::string_view bytes, const std::string& place, direction use) {
    protobuf_reader reader(bytes);
    while (reader.next()) {
      if (reader.field() == 2 && reader.is_bytes()) {
        if (const auto problem = check_character_map(reader.bytes()); !problem.empty()) {
          refuse(place + ".precompiled_charsmap", problem);
        }
      }
      if (use == for_decoding) continue;
      if (reader.field() == 3) model_.add_dummy_prefix = reader.number() != 0;
      if (reader.field() == 4) model_.remove_extra_whitespaces = reader.number() != 0;
      if (reader.field() == 5 && reader.number() == 0) {
        refuse(place + ".escape_whitespaces", "models that do not escape spaces are not supported");
      }
    }
    if (!reader.ok()) refuse(place, "is malformed");
  }

  // Across pieces: byte pieces, the unknown piece, and that ids are of pieces.
  void check_model() {
    if (model_.pieces.empty()) refuse("", "is not a sentencepiece model: it has no pieces");
    if (model_type_ != 1 && model_type_ != 2) {
      refuse("trainer_spec.model_type", "only unigram and BPE models are supported");
    }
    const auto size = static_cast<token>(model_.pieces.size());
    std::size_t unknown = 0;
    std::array<bool, 256> bytes{};
    std::size_t byte_count = 0;
    for (std::size_t i = 0; i < model_.pieces.size(); ++i) {
      const auto& piece = model_.pieces[i];
      const auto place = "piece " + std::to_string(i);
      if (piece.type == piece_type::unknown && ++unknown > 1) refuse(place, "is a second unknown piece");
      if (piece.type != piece_type::byte) continue;
      if (!model_.byte_fallback) refuse(place, "is a byte in a model without byte fallback");
      const auto value = parse_byte_piece(piece.text);
      if (!value || byte_piece(*value) != piece.text || bytes[*value])
        refuse(place, "is not the name of a further byte");
      bytes[*value] = true;
      ++byte_count;
    }
    if (unknown == 0) refuse("", "has no unknown piece");
    if (model_.byte_fallback && byte_count != 256) refuse("", "has byte fallback but not the 256 byte pieces");
    const auto id = [&](const char* name, token& value, bool needed) {
      if (value < 0 && !needed) value = -1;
      if (value >= size || value < -1 || (needed && value < 0)) {
        refuse(std::string("trainer_spec.") + name, "is not the id of a piece");
      }
    };
    id("unk_id", model_.unk, true);
    id("bos_id", model_.bos, false);
    id("eos_id", model_.eos, false);
    id("pad_id", model_.pad, false);
  }

  std::string_view path_;
  sentencepiece_model model_;
  std::uint64_t model_type_ = 1;
  std::unordered_set<std::string_view> texts_;
};

}  // namespace

sentencepiece_model parse_sentencepiece_model(std::string_view bytes, std::string_view path) {
  if (bytes.size() > sentencepiece_size_limit) {
    refuse_other_kinds(path, bytes, file_use::tokenizer);
    throw file_error(path, "", "is larger than 16 MiB");
  }
  try {
    return model_parser(path).parse(bytes);
  } catch (const file_error&) {
    refuse_other_kinds(path, bytes, file_use::tokenizer);
    throw;
  }
}

}  // namespace coho::trainer
