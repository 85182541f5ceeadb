#include "tokenizer_json/byte_pairs.hpp"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "text/utf8.hpp"
#include "tokenizer_json/byte_fallback.hpp"
#include "tokenizer_json/hashing.hpp"

namespace coho::trainer {
namespace {

// A hash of a pair of tokens, for the table of merges.
std::uint64_t hash_pair(std::uint32_t first, std::uint32_t second) {
  return mix_bits((std::uint64_t{first} << 32) | second);
}

// The order of the heap: the lowest rank is at its front, of equal ones the leftmost.
constexpr auto merges_later = [](const merge_workspace::candidate& a, const merge_workspace::candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.place > b.place;
};

}  // namespace

byte_pair_model::byte_pair_model(const json_part& part) {
  // Older files do not name the model.
  const std::string type = part.text("type", part.has("merges") ? "BPE" : "");
  if (type != "BPE")
    part.refuse_member("type", "\"" + type + "\" is not a supported model",
                       "use a model whose tokenizer is BPE, as in LLaMA, Mistral and Qwen");
  if (part.has("dropout") && part.at("dropout").value() != 0)
    part.refuse_member("dropout", "is not 0: tokens would be random", "set it to null");
  pieces_ = vocabulary(part.at("vocab"));
  prefix_ = part.text("continuing_subword_prefix", "");
  suffix_ = part.text("end_of_word_suffix", "");
  fuse_unknown_ = part.boolean("fuse_unk", false);
  byte_fallback_ = part.boolean("byte_fallback", false);
  whole_words_ = part.boolean("ignore_merges", false);
  if (part.has("unk_token")) {
    const auto text = part.text("unk_token");
    unknown_ = pieces_.find(text);
    has_unknown_ = true;
    if (unknown_ < 0) part.refuse_member("unk_token", "\"" + text + "\" is not in the vocabulary");
  }
  for (unsigned byte = 0; byte < 256; ++byte) bytes_[byte] = pieces_.find(byte_piece(static_cast<unsigned char>(byte)));
  for (char32_t c = 0; c < small_characters_.size(); ++c) {
    std::string text;
    append_utf8(text, c);
    small_characters_[c] = pieces_.find(text);
  }
  read_merges(part.at("merges"));
}

void byte_pair_model::read_merges(const json_part& part) {
  const auto& list = part.value();
  if (!list.is_array()) part.refuse("must be a list");
  merges_.assign(hash_table_slots(list.size()), {});
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto& value = list[i];
    const auto refuse = [&] {
      part.refuse("its element " + std::to_string(i) + " is not a pair of pieces, as \"a b\" or [\"a\", \"b\"]");
    };
    if (value.is_string()) {
      const auto& text = value.get_ref<const std::string&>();
      if (text.starts_with("#version")) continue;
      const auto space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) refuse();
      add_merge(part, std::string_view(text).substr(0, space), std::string_view(text).substr(space + 1), rank);
    } else {
      if (!value.is_array() || value.size() != 2 || !value[0].is_string() || !value[1].is_string()) refuse();
      add_merge(part, value[0].get_ref<const std::string&>(), value[1].get_ref<const std::string&>(), rank);
    }
    ++rank;
  }
}

void byte_pair_model::add_merge(const json_part& place, std::string_view first, std::string_view second,
                                std::uint32_t rank) {
  const auto known = [&](std::string_view piece) {
    const token id = pieces_.find(piece);
    if (id < 0)
      place.refuse("its merge " + std::to_string(rank) + " has the piece \"" + repair_utf8(piece.substr(0, 40)) +
                   "\", which is not in the vocabulary");
    return id;
  };
  const token a = known(first), b = known(second);
  if (second.size() < prefix_.size()) place.refuse("its merge " + std::to_string(rank) + " is shorter than the prefix");
  const token result = known(std::string(first).append(second.substr(prefix_.size())));
  const auto x = static_cast<std::uint32_t>(a + 1), y = static_cast<std::uint32_t>(b + 1);
  std::size_t slot = hash_pair(x, y) & (merges_.size() - 1);
  while (merges_[slot].first != 0 && (merges_[slot].first != x || merges_[slot].second != y))
    slot = (slot + 1) & (merges_.size() - 1);
  merges_[slot] = {x, y, rank, result};  // of two equal merges the later one counts
}

const byte_pair_model::merge* byte_pair_model::find(token first, token second) const noexcept {
  const auto x = static_cast<std::uint32_t>(first + 1), y = static_cast<std::uint32_t>(second + 1);
  for (std::size_t slot = hash_pair(x, y) & (merges_.size() - 1); merges_[slot].first != 0;
       slot = (slot + 1) & (merges_.size() - 1))
    if (merges_[slot].first == x && merges_[slot].second == y) return &merges_[slot];
  return nullptr;
}

void byte_pair_model::encode(std::string_view word, std::vector<token>& out, merge_workspace& workspace) const {
  if (whole_words_) {
    if (const token id = pieces_.find(word); id >= 0) return out.push_back(id);
  }
  split_characters(word, workspace);
  merge_all(workspace);
  for (const auto& symbol : workspace.symbols)
    if (!symbol.merged) out.push_back(symbol.id);
}

token byte_pair_model::character_token(std::string_view text, bool first, bool last) const {
  const bool prefixed = !first && !prefix_.empty(), suffixed = last && !suffix_.empty();
  if (!prefixed && !suffixed) {
    const char32_t c = utf8_code_point(text);
    return c < small_characters_.size() ? small_characters_[c] : pieces_.find(text);
  }
  std::string whole = prefixed ? prefix_ : std::string();
  whole.append(text).append(suffixed ? suffix_ : std::string());
  return pieces_.find(whole);
}

bool byte_pair_model::append_byte_tokens(std::string_view text, merge_workspace& workspace) const {
  const auto id = [&](char c) { return bytes_[static_cast<unsigned char>(c)]; };
  if (!byte_fallback_ || std::ranges::any_of(text, [&](char c) { return id(c) < 0; })) return false;
  for (const char c : text) workspace.symbols.push_back({.id = id(c)});
  return true;
}

void byte_pair_model::split_characters(std::string_view word, merge_workspace& workspace) const {
  workspace.symbols.clear();
  bool open = false;  // an unknown token that the next unknown character may join
  const auto close = [&] {
    if (std::exchange(open, false)) workspace.symbols.push_back({.id = unknown_});
  };
  for (std::size_t at = 0; at < word.size();) {
    const auto text = word.substr(at, utf8_length(word.substr(at)));
    const bool first = at == 0;
    at += text.size();
    const bool last = at == word.size();
    if (const token id = character_token(text, first, last); id >= 0) {
      close();
      workspace.symbols.push_back({.id = id});
    } else if (!prefix_.empty() || !suffix_.empty()
                   ? append_byte_tokens((first ? "" : prefix_) + std::string(text) + (last ? suffix_ : ""), workspace)
                   : append_byte_tokens(text, workspace)) {
      // As the library does: an unknown token that is still open comes after these bytes.
    } else if (has_unknown_) {
      if (!fuse_unknown_) close();
      open = true;
    }
  }
  close();
  for (std::size_t i = 0; i < workspace.symbols.size(); ++i) {
    workspace.symbols[i].previous = static_cast<std::int32_t>(i) - 1;
    workspace.symbols[i].next = i + 1 < workspace.symbols.size() ? static_cast<std::int32_t>(i) + 1 : -1;
  }
}

void byte_pair_model::queue_merge(merge_workspace& workspace, std::int32_t place) const {
  const auto& left = workspace.symbols[static_cast<std::size_t>(place)];
  if (const auto* found = find(left.id, workspace.symbols[static_cast<std::size_t>(left.next)].id)) {
    workspace.queue.push_back({found->rank, place, found->result});
    std::ranges::push_heap(workspace.queue, merges_later);
  }
}

void byte_pair_model::merge_all(merge_workspace& workspace) const {
  auto& symbols = workspace.symbols;
  workspace.queue.clear();
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i)
    if (const auto* found = find(symbols[i].id, symbols[i + 1].id))
      workspace.queue.push_back({found->rank, static_cast<std::int32_t>(i), found->result});
  std::ranges::make_heap(workspace.queue, merges_later);
  while (!workspace.queue.empty()) {
    const auto best = workspace.queue.front();
    std::ranges::pop_heap(workspace.queue, merges_later);
    workspace.queue.pop_back();
    auto& left = symbols[static_cast<std::size_t>(best.place)];
    if (left.merged || left.next < 0) continue;
    auto& right = symbols[static_cast<std::size_t>(left.next)];
    // One of the two may have been merged with another since.
    const auto* found = find(left.id, right.id);
    if (!found || found->result != best.result) continue;
    left.id = best.result;
    left.next = right.next;
    right.merged = true;
    if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = best.place;
    if (left.previous >= 0) queue_merge(workspace, left.previous);
    if (left.next >= 0) queue_merge(workspace, best.place);
  }
}

}  // namespace coho::trainer
