#include "tokenizer_json/added_tokens.hpp"

#include <algorithm>
#include <utility>

#include "text/utf8.hpp"
#include "text/white_space.hpp"
#include "unicode/unicode_text.hpp"

namespace coho::trainer {
namespace {

// The key of the trie's edge from a node by a byte.
std::uint64_t edge_key(std::uint32_t node, char byte) {
  return (std::uint64_t{node} << 8) | static_cast<unsigned char>(byte);
}

// Whether a part of a text is between characters that are not part of words, or at its ends.
bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  if (begin > 0 && is_word_character(utf8_code_point(text.substr(utf8_previous(text, begin))))) return false;
  return end == text.size() || !is_word_character(utf8_code_point(text.substr(end)));
}

}  // namespace

added_token_finder::added_token_finder(std::vector<entry> entries) : entries_(std::move(entries)) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    std::uint32_t node = 0;
    first_bytes_[static_cast<unsigned char>(entries_[i].text.front())] = true;
    for (const char byte : entries_[i].text) {
      const auto [place, is_new] = edges_.try_emplace(edge_key(node, byte), static_cast<std::uint32_t>(ends_.size()));
      if (is_new) ends_.push_back(0);
      node = place->second;
    }
    ends_[node] = static_cast<std::uint32_t>(i + 1);
  }
}

const added_token_finder::entry* added_token_finder::longest_at_start(std::string_view text) const {
  const entry* longest = nullptr;
  std::uint32_t node = 0;
  for (const char byte : text) {
    const auto next = edges_.find(edge_key(node, byte));
    if (next == edges_.end()) break;
    node = next->second;
    if (ends_[node] > 0) longest = &entries_[ends_[node] - 1];
  }
  return longest;
}

void added_token_finder::split(std::string_view text, bool special, std::vector<token_part>& out) const {
  std::size_t last = 0;
  const auto append = [&](std::size_t begin, std::size_t end, token id) {
    if (begin < end) out.push_back({text.substr(begin, end - begin), id});
  };
  for (std::size_t place = 0; !entries_.empty() && place < text.size();) {
    const entry* found =
        first_bytes_[static_cast<unsigned char>(text[place])] ? longest_at_start(text.substr(place)) : nullptr;
    if (!found) {
      ++place;
      continue;
    }
    std::size_t begin = place, end = place + found->text.size();
    place = end;  // also after a token that is not taken
    if (found->target->special && !special) continue;
    if (found->target->single_word && !stands_alone(text, begin, end)) continue;
    if (found->target->lstrip) {
      while (begin > last && is_white_space(utf8_code_point(text.substr(utf8_previous(text, begin)))))
        begin = utf8_previous(text, begin);
      begin = std::max(begin, last);
    }
    if (found->target->rstrip)
      while (end < text.size() && is_white_space(utf8_code_point(text.substr(end))))
        end += utf8_length(text.substr(end));
    append(last, begin, -1);
    append(begin, end, found->target->id);
    last = end;
  }
  append(last, text.size(), -1);
}

}  // namespace coho::trainer
