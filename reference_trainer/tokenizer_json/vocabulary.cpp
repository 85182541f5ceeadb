#include "tokenizer_json/vocabulary.hpp"

#include <nlohmann/json.hpp>

#include "text/utf8.hpp"
#include "tokenizer_json/hashing.hpp"

namespace coho::trainer {

vocabulary::vocabulary(const json_part& part) {
  constexpr std::int64_t most = std::int64_t{1} << 24;
  if (!part.value().is_object()) part.refuse("must be an object of pieces and their ids");
  const auto shown = [](const std::string& piece) { return '"' + repair_utf8(piece.substr(0, 40)) + '"'; };
  std::vector<const std::string*> pieces;
  std::size_t bytes = 0;
  for (const auto& [piece, value] : part.value().items()) {
    if (!value.is_number_integer() || value < 0 || value >= most)
      part.refuse("the id of " + shown(piece) + " is not a whole number from 0 to 2^24 - 1");
    const auto id = value.get<std::size_t>();
    if (id >= pieces.size()) pieces.resize(id + 1);
    if (pieces[id]) part.refuse(shown(*pieces[id]) + " and " + shown(piece) + " have the same id");
    pieces[id] = &piece;
    bytes += piece.size();
    ++count_;
  }
  if (count_ == 0) part.refuse("holds no pieces");
  if (bytes > std::size_t{1} << 30) part.refuse("is larger than 1 GiB");
  texts_.reserve(bytes);
  begins_.reserve(pieces.size() + 1);
  slots_.assign(hash_table_slots(count_), 0);
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    begins_.push_back(static_cast<std::uint32_t>(texts_.size()));
    if (!pieces[id]) continue;
    texts_ += *pieces[id];
    std::size_t slot = hash_text(*pieces[id]) & (slots_.size() - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = static_cast<std::uint32_t>(id + 1);
  }
  begins_.push_back(static_cast<std::uint32_t>(texts_.size()));
}

token vocabulary::find(std::string_view text) const noexcept {
  for (std::size_t slot = hash_text(text) & (slots_.size() - 1); slots_[slot] != 0;
       slot = (slot + 1) & (slots_.size() - 1)) {
    const auto id = static_cast<token>(slots_[slot] - 1);
    if (piece(id) == text) return id;
  }
  return -1;
}

std::string_view vocabulary::piece(token id) const noexcept {
  const auto place = static_cast<std::size_t>(id);
  if (id < 0 || place >= size()) return {};
  return std::string_view(texts_).substr(begins_[place], begins_[place + 1] - begins_[place]);
}

}  // namespace coho::trainer
