#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "files/json_part.hpp"

namespace coho::trainer {

/// The decoder of a tokenizer.json: ByteLevel, ByteFallback, Fuse, Metaspace, Replace, Strip, and a Sequence of these.
class text_decoder {
 public:
  /// Without a decoder the library that defines these files separates tokens by spaces; so does this.
  text_decoder() = default;
  /// Throws `file_error` naming what is not supported, or is missing in the file.
  explicit text_decoder(const json_part& part);

  /// The text of a sequence of pieces. Bytes that are not UTF-8 become U+FFFD.
  std::string operator()(std::vector<std::string> pieces) const;

  /// The bytes of a piece in the middle of a text, possibly a part of a character: what is stripped at the ends of
  /// a text is not stripped.
  std::string bytes(std::string_view piece) const;

 private:
  /// A piece in the middle of a text; `joined`: an earlier step has made one text of the pieces.
  struct inner_piece {
    std::string bytes;
    bool joined = false;
  };
  /// One decoder, for all pieces of a text and for one piece in the middle of it.
  struct stage {
    std::function<void(std::vector<std::string>&)> all;
    std::function<void(inner_piece&)> one;
  };
  /// Adds the decoder that `part` describes, or those of a Sequence.
  void add_stage(const json_part& part);
  /// Adds a decoder that changes each piece by itself. `also_joined`: a piece in the middle is changed even if an
  /// earlier stage joins the pieces; what strips the ends of a text must not be.
  void add_piecewise_stage(std::function<void(std::string&)> change, bool also_joined);

  std::vector<stage> stages_;
};

}  // namespace coho::trainer
