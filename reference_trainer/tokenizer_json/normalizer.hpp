#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "files/json_part.hpp"

namespace coho::trainer {

/// The normalizer of a tokenizer.json: NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, ByteLevel, and a
/// Sequence of these. It changes a text before the text is split.
///
///     text_normalizer(json_part(document["normalizer"], file, "normalizer"))("Hi there");  // "▁Hi▁there"
class text_normalizer {
 public:
  /// Leaves texts as they are.
  text_normalizer() = default;
  /// Throws `file_error` naming what is not supported, or is missing in the file.
  explicit text_normalizer(const json_part& part);

  /// The changed text; `text` must be UTF-8.
  std::string operator()(std::string_view text) const;
  bool empty() const noexcept { return steps_.empty(); }

 private:
  /// Adds the normalizer that `part` describes, or those of a Sequence.
  void add_step(const json_part& part);

  std::vector<std::function<void(std::string&)>> steps_;
};

}  // namespace coho::trainer
