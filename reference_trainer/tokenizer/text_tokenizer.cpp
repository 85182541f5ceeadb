#include "tokenizer/text_tokenizer.hpp"

#include <algorithm>
#include <utility>

#include <coho/concepts.hpp>
#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "text/utf8.hpp"
#include "tokenizer/json_tokenizer.hpp"
#include "tokenizer/sentencepiece.hpp"

namespace coho::trainer {

static_assert(coho::tokenizer<text_tokenizer>);

namespace fs = std::filesystem;

std::vector<token> text_tokenizer::encode_in_context(std::string_view prefix, std::string_view continuation) const {
  const auto before = encode(prefix);
  auto whole = encode(std::string(prefix).append(continuation));
  const auto border = std::ranges::mismatch(before, whole).in2;
  whole.erase(whole.begin(), border);
  return whole;
}

std::string text_tokenizer::decode_piecewise(std::span<const token> tokens) const {
  std::string bytes;
  for (const token id : tokens) bytes += token_bytes(id);
  return repair_utf8(bytes);
}

std::string text_tokenizer::display_text(token id) const {
  return is_control(id) ? std::string(piece(id)) : repair_utf8(token_bytes(id));
}

std::vector<token> text_tokenizer::begin_tokens() const {
  return bos() < 0 ? std::vector<token>{} : std::vector<token>{bos()};
}

void text_tokenizer::check_id(token id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= size()) {
    throw argument_error("token " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(size()) +
                         " pieces");
  }
}

bool has_tokenizer(const fs::path& path) {
  std::error_code none;
  if (!fs::is_directory(path, none)) return fs::exists(path, none);
  return fs::exists(path / "tokenizer.json", none) || fs::exists(path / "tokenizer.model", none);
}

std::shared_ptr<const text_tokenizer> load_tokenizer(const fs::path& path) {
  if (fs::is_directory(path)) {
    for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
      if (fs::is_directory(path / name))
        throw file_error((path / name).string(), "", "is a directory, but a file is needed");
      if (fs::exists(path / name)) return load_tokenizer(path / name);
    }
    throw file_error((path / "tokenizer.json").string(), "", "no such file, and no tokenizer.model",
                     "put the model's own tokenizer next to its weights");
  }
  if (path.extension() == ".json") return std::make_shared<json_tokenizer>(json_tokenizer::from_file(path));
  return std::make_shared<sentencepiece_tokenizer>(sentencepiece_tokenizer::from_file(path));
}

}  // namespace coho::trainer
