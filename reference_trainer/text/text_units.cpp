#include "text/text_units.hpp"

#include <algorithm>
#include <cstdint>

#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

enum class character_kind : std::uint8_t { letter, word, separator };

std::uint32_t code_point(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0);
  std::uint32_t out = byte(0) & (0x7Fu >> character.size());
  for (std::size_t i = 1; i < character.size(); ++i) out = out << 6 | (byte(i) & 0x3Fu);
  return out;
}

character_kind kind_of(std::uint32_t c) {
  const auto within = [c](std::uint32_t first, std::uint32_t last) { return c >= first && c <= last; };
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

struct placed_unit {
  std::string word{};
  std::size_t begin = 0;
};

std::vector<placed_unit> placed_units(std::string_view text) {
  std::vector<placed_unit> out;
  placed_unit unit;
  const auto end_word = [&] {
    if (!unit.word.empty()) out.push_back(std::move(unit));
    unit = {};
  };
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    const auto character = text.substr(i, length == 0 ? 1 : length);
    const auto kind = length == 0 ? character_kind::separator : kind_of(code_point(character));
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
  for (auto& unit : placed_units(text)) out.push_back(std::move(unit.word));
  return out;
}

std::vector<std::size_t> text_unit_places(std::string_view text) {
  std::vector<std::size_t> out;
  for (const auto& unit : placed_units(text)) out.push_back(unit.begin);
  return out;
}

std::vector<std::string> text_runs(std::span<const std::string> units, std::size_t length) {
  std::vector<std::string> out;
  if (length == 0) return out;
  for (std::size_t first = 0; first + length <= units.size(); ++first) {
    std::string run;
    for (const auto& unit : units.subspan(first, length)) run.append(unit).append(" ");
    out.push_back(std::move(run));
  }
  return out;
}

double repeated_share(std::span<const std::string> units, std::size_t length) {
  const auto runs = text_runs(units, length);
  if (runs.empty()) return 0;
  const std::unordered_set<std::string> distinct(runs.begin(), runs.end());
  return 1 - static_cast<double>(distinct.size()) / static_cast<double>(runs.size());
}

double covered_share(std::span<const std::string> units, std::size_t length,
                     const std::unordered_set<std::string>& known) {
  const auto runs = text_runs(units, length);
  std::size_t covered = 0, end = 0;  // units before `end` are already counted
  for (std::size_t first = 0; first < runs.size(); ++first) {
    if (!known.contains(runs[first])) continue;
    covered += first + length - std::max(first, end);
    end = first + length;
  }
  return units.empty() ? 0 : static_cast<double>(covered) / static_cast<double>(units.size());
}

}  // namespace coho::trainer
