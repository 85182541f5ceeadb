#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <coho/packed.hpp>

namespace coho::trainer {

/// The values of the file.
enum class piece_type { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct sentencepiece_piece {
  std::string_view text;
  float score = 0;
  piece_type type = piece_type::normal;
};

/// The parts of a sentencepiece model that this program reads. The pieces point into the file's bytes.
struct sentencepiece_model {
  std::vector<sentencepiece_piece> pieces;
  bool byte_fallback = false;
  token unk = 0, bos = 1, eos = 2, pad = -1;  ///< −1: none
  std::string_view unk_surface = " \xE2\x81\x87 ";
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
};

/// The largest model and the longest piece that are read, in bytes.
inline constexpr std::size_t sentencepiece_size_limit = std::size_t{16} << 20;
inline constexpr std::size_t sentencepiece_piece_limit = 1024;

/// Parses the protobuf of a `tokenizer.model` and checks everything that the sentencepiece library trusts: sizes,
/// UTF-8, piece types, byte pieces, ids, and the character maps. Throws `file_error` naming the piece or field; `path`
/// is used in messages only. The model points into `bytes`.
sentencepiece_model parse_sentencepiece_model(std::string_view bytes, std::string_view path);

}  // namespace coho::trainer
