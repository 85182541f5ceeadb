#include "report/text_difference.hpp"

#include <algorithm>
#include <cstdint>

#include "observe/format.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

constexpr std::size_t most_pairs = 4'000'000;  // of words, 4 bytes of memory each

struct word {
  std::string_view text;
  bool space = false, changed = false;
};

enum class kind { space, letter, single };

// Of one character of UTF-8. Wide ones (ideographs) are words by themselves, as is punctuation.
kind classify(std::string_view character) {
  const char c = character.front();
  if (c == ' ' || c == '\n' || c == '\t' || c == '\r') return kind::space;
  if (character.size() == 1)
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '\'' ? kind::letter
                                                                                                   : kind::single;
  return display_width(character) == 2 ? kind::single : kind::letter;
}

// Words, single characters and runs of white space, which concatenated are the text.
std::vector<word> split_words(std::string_view text) {
  std::vector<word> out;
  kind last = kind::single;
  for (std::size_t at = 0; at < text.size();) {
    const auto bytes = std::max<std::size_t>(1, utf8_length(text.substr(at)));
    const kind next = classify(text.substr(at, bytes));
    if (!out.empty() && next == last && next != kind::single) {
      out.back().text = {out.back().text.data(), out.back().text.size() + bytes};
    } else {
      out.push_back({text.substr(at, bytes), next == kind::space});
    }
    last = next;
    at += bytes;
  }
  return out;
}

// Marks what is not part of a longest common subsequence; false if the texts are too long for that.
bool mark_changes(std::vector<word*> a, std::vector<word*> b) {
  const auto equal = [](const word* x, const word* y) { return x->text == y->text; };
  std::size_t head = 0;
  while (head < a.size() && head < b.size() && equal(a[head], b[head])) ++head;
  a.erase(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(head));
  b.erase(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(head));
  while (!a.empty() && !b.empty() && equal(a.back(), b.back())) a.pop_back(), b.pop_back();
  if (a.size() * b.size() > most_pairs) return false;
  // common[i][j]: of a from i on and b from j on.
  const std::size_t row = b.size() + 1;
  std::vector<std::uint32_t> common((a.size() + 1) * row, 0);
  for (std::size_t i = a.size(); i-- > 0;) {
    for (std::size_t j = b.size(); j-- > 0;) {
      common[i * row + j] = equal(a[i], b[j]) ? common[(i + 1) * row + j + 1] + 1
                                              : std::max(common[(i + 1) * row + j], common[i * row + j + 1]);
    }
  }
  std::size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && equal(a[i], b[j])) {
      ++i, ++j;
    } else if (j == b.size() || (i < a.size() && common[(i + 1) * row + j] >= common[i * row + j + 1])) {
      a[i++]->changed = true;
    } else {
      b[j++]->changed = true;
    }
  }
  return true;
}

// Adjacent words that are both marked, or both not, as one piece.
std::vector<text_piece> join_pieces(const std::vector<word>& words) {
  std::vector<text_piece> out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    // White space between two marked words is marked with them.
    const bool changed = words[i].space ? i > 0 && i + 1 < words.size() && words[i - 1].changed && words[i + 1].changed
                                        : words[i].changed;
    if (out.empty() || out.back().changed != changed) out.push_back({{}, changed});
    out.back().text += words[i].text;
  }
  return out;
}

}  // namespace

text_difference compare_texts(std::string_view before, std::string_view after) {
  auto a = split_words(before), b = split_words(after);
  std::vector<word*> left, right;
  for (auto& each : a)
    if (!each.space) left.push_back(&each);
  for (auto& each : b)
    if (!each.space) right.push_back(&each);
  const std::size_t most = std::max(left.size(), right.size());
  const bool compared = mark_changes(left, right);
  const auto kept =
      static_cast<std::size_t>(std::ranges::count_if(left, [](const word* each) { return !each->changed; }));
  if (!compared || 3 * kept < most) {
    for (auto* all : {&a, &b})
      for (auto& each : *all) each.changed = false;
  }
  return {join_pieces(a), join_pieces(b)};
}

}  // namespace coho::trainer
