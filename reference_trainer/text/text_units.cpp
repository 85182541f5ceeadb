#include "text/text_units.hpp"

#include <algorithm>
#include <cstdint>

#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

// letter: part of a word; word: a word by itself, in scripts without spaces between words; separator: neither.
enum class character_kind : std::uint8_t { letter, word, separator };

// By blocks of Unicode rather than its tables: exact at every border is not needed to compare texts.
character_kind classify_character(char32_t c) {
  const auto within = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  if (c < 0x80)
    return within('0', '9') || within('a', 'z') || within('A', 'Z') ? character_kind::letter
                                                                    : character_kind::separator;
  // Punctuation of Latin-1, of all scripts, and of East Asia including full-width forms of ASCII's.
  if (within(0x80, 0xA9) || within(0xAB, 0xB4) || within(0xB6, 0xB9) || within(0xBB, 0xBF) || within(0x2000, 0x206F) ||
      within(0x3000, 0x303F) || within(0xFF00, 0xFF0F) || within(0xFF1A, 0xFF20) || within(0xFF3B, 0xFF40) ||
      within(0xFF5B, 0xFF65))
    return character_kind::separator;
  if (within(0x0E00, 0x0EFF) || within(0x1000, 0x109F) || within(0x1780, 0x17FF) || within(0x2E80, 0xA4CF) ||
      within(0xF900, 0xFAFF) || within(0xFF66, 0xFF9F) || within(0x20000, 0x3FFFF))
    return character_kind::word;
  return character_kind::letter;
}

struct located_word {
  std::string word{};
  std::size_t begin = 0;
};

// Words with the offsets of their first bytes; text_units says what a word is. Bytes that are not UTF-8 are separators.
std::vector<located_word> locate_words(std::string_view text) {
  std::vector<located_word> out;
  located_word unit;
  const auto end_word = [&] {
    if (!unit.word.empty()) out.push_back(std::move(unit));
    unit = {};
  };
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    const auto character = text.substr(i, length == 0 ? 1 : length);
    const auto kind = length == 0 ? character_kind::separator : classify_character(utf8_code_point(character));
    if (kind != character_kind::letter) end_word();
    if (kind != character_kind::separator) {
      if (unit.word.empty()) unit.begin = i;
      for (const char c : character) unit.word += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      if (kind == character_kind::word) end_word();
    }
    i += character.size();
  }
  end_word();
  return out;
}

}  // namespace

std::vector<std::string> text_units(std::string_view text) {
  std::vector<std::string> out;
  for (auto& unit : locate_words(text)) out.push_back(std::move(unit.word));
  return out;
}

std::vector<std::size_t> text_unit_offsets(std::string_view text) {
  std::vector<std::size_t> out;
  for (const auto& unit : locate_words(text)) out.push_back(unit.begin);
  return out;
}

std::vector<std::string> text_ngrams(std::span<const std::string> units, std::size_t length) {
  std::vector<std::string> out;
  if (length == 0) return out;
  for (std::size_t first = 0; first + length <= units.size(); ++first) {
    std::string run;
    for (const auto& unit : units.subspan(first, length)) run.append(unit).append(" ");
    out.push_back(std::move(run));
  }
  return out;
}

double repeated_ngram_fraction(std::span<const std::string> units, std::size_t length) {
  const auto runs = text_ngrams(units, length);
  if (runs.empty()) return 0;
  const std::unordered_set<std::string> distinct(runs.begin(), runs.end());
  return 1 - static_cast<double>(distinct.size()) / static_cast<double>(runs.size());
}

double ngram_coverage(std::span<const std::string> units, std::size_t length,
                      const std::unordered_set<std::string>& known) {
  const auto runs = text_ngrams(units, length);
  std::size_t covered = 0, end = 0;  // units before `end` are already counted
  for (std::size_t first = 0; first < runs.size(); ++first) {
    if (!known.contains(runs[first])) continue;
    covered += first + length - std::max(first, end);
    end = first + length;
  }
  return units.empty() ? 0 : static_cast<double>(covered) / static_cast<double>(units.size());
}

}  // namespace coho::trainer
