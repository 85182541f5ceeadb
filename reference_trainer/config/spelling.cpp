#include "config/spelling.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

namespace coho::trainer {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 4) + 1;
  for (const auto& candidate : candidates) {
    const auto distance = edit_distance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) best_distance = distance, best = candidate;
  }
  return best;
}

namespace {

std::string last_name(const std::string& key) { return key.substr(key.rfind('.') + 1); }

}  // namespace

std::string likely_key(const std::string& key, const std::vector<std::string>& known) {
  const auto section = key.substr(0, key.find('.') + 1);
  std::vector<std::string> own;
  for (const auto& candidate : known)
    if (!section.empty() && candidate.starts_with(section)) own.push_back(candidate);
  const auto same = [&](const std::string& candidate) { return last_name(candidate) == last_name(key); };
  if (const auto found = std::ranges::find_if(own, same); found != own.end()) return *found;
  if (const auto found = std::ranges::find_if(known, same); found != known.end()) return *found;
  std::vector<std::string> names;
  for (const auto& candidate : own) names.push_back(last_name(candidate));
  const auto near = nearest(last_name(key), names);
  return near.empty() ? near : own[static_cast<std::size_t>(std::ranges::find(names, near) - names.begin())];
}

std::string shortest_text(double number) {
  char buffer[64];  // the longest double has 24 characters
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr};
}

std::string escape_controls(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += "\\x";
      out += digits[byte / 16];
      out += digits[byte % 16];
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace coho::trainer
