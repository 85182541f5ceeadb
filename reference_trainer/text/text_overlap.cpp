#include "text/text_overlap.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

// Of ASCII exactly; beyond it, everything except the punctuation of scripts that use its blocks.
bool is_letter_or_digit(std::string_view character) {
  const auto c = static_cast<unsigned char>(character.front());
  if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  // U+2000 to U+203F, U+3000 to U+303F, U+FF01 to U+FF0F and U+FF1A to U+FF20: dashes, quotes, wide stops.
  if (character.starts_with("\xE2\x80") || character.starts_with("\xE3\x80")) return false;
  if (!character.starts_with("\xEF\xBC")) return true;
  const auto last = static_cast<unsigned char>(character.back());
  return last > 0xA0 || (last >= 0x90 && last <= 0x99);
}

// The set of all runs of four characters of a text reduced to letters and digits, in lower case, with one blank for
// anything between them; the whole text if it is shorter.
std::set<std::string> shingles(std::string_view text) {
  std::vector<std::string> kept{" "};
  for (const auto character : split_utf8(text)) {
    const bool letter = is_letter_or_digit(character);
    if (!letter && kept.back() == " ") continue;
    std::string plain = letter ? std::string(character) : " ";
    if (plain[0] >= 'A' && plain[0] <= 'Z') plain[0] = static_cast<char>(plain[0] - 'A' + 'a');
    kept.push_back(std::move(plain));
  }
  if (kept.back() != " ") kept.emplace_back(" ");
  constexpr std::size_t row = 4;
  std::set<std::string> out;
  for (std::size_t i = 0; i + std::min(row, kept.size()) <= kept.size(); ++i) {
    std::string shingle;
    for (std::size_t k = i; k < std::min(i + row, kept.size()); ++k) shingle += kept[k];
    out.insert(std::move(shingle));
  }
  return out;
}

}  // namespace

double text_overlap(std::string_view a, std::string_view b) {
  const auto first = shingles(a), second = shingles(b);
  std::size_t common = 0;
  for (const auto& each : first) common += second.count(each);
  return static_cast<double>(common) / static_cast<double>(first.size() + second.size() - common);
}

bool ends_as_sentence(std::string_view text) {
  constexpr std::string_view white_space = " \t\r\n";
  constexpr std::array<std::string_view, 9> closing{"\"", "'", ")", "]", "”", "’", "»", "」", "）"};
  constexpr std::array<std::string_view, 8> ends{".", "!", "?", "…", "。", "！", "？", "।"};
  for (bool closed = true; closed;) {
    while (!text.empty() && white_space.find(text.back()) != std::string_view::npos) text.remove_suffix(1);
    closed = false;
    for (const auto each : closing) {
      if (!text.ends_with(each)) continue;
      text.remove_suffix(each.size());
      closed = true;
    }
  }
  return std::ranges::any_of(ends, [&](std::string_view end) { return text.ends_with(end); });
}

}  // namespace coho::trainer
