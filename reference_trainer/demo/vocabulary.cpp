#include "demo/vocabulary.hpp"

#include <cctype>

namespace coho::trainer::demo {

const std::array<std::string_view, object_count> objects{"fox", "owl", "bee", "cat", "dog", "ant",  "hen",  "pig",
                                                         "bat", "cow", "elk", "eel", "yak", "crab", "toad", "wolf"};

namespace {

constexpr std::size_t values_per_fact = 8;
constexpr std::array<std::array<std::string_view, values_per_fact>, facts_per_object> values{{
    {"red", "tan", "gold", "gray", "pink", "blue", "black", "white"},
    {"fur", "wings", "claws", "teeth", "stripes", "horns", "spots", "scales"},
    {"rain", "sand", "heat", "snow", "wind", "shade", "moss", "salt"},
    {"caves", "woods", "fields", "lakes", "nests", "towns", "hills", "ponds"},
}};

// ASCII letters, of which all words of the world consist.
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

}  // namespace

std::string_view fact_value(std::size_t object, std::size_t fact) {
  // Odd factors make each column a permutation of its values over eight neighbouring objects.
  constexpr std::array<std::size_t, facts_per_object> factor{1, 3, 5, 7}, shift{0, 2, 5, 1};
  return values[fact][(factor[fact] * object + shift[fact] + object / values_per_fact * fact) % values_per_fact];
}

std::string to_language_b(std::string_view word) {
  std::string out(word);
  for (char& c : out) {
    switch (c) {
      case 'a':
        c = 'o';
        break;
      case 'o':
        c = 'e';
        break;
      case 'e':
        c = 'i';
        break;
      case 'i':
        c = 'u';
        break;
      case 'u':
        c = 'a';
        break;
      default:
        break;
    }
  }
  return out + 'u';
}

std::string to_language(std::string_view text, language which) {
  if (which != language::b) return std::string(text);
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && is_letter(text[end])) ++end;
    if (end > i) {
      out += to_language_b(text.substr(i, end - i));
      i = end;
    } else {
      out += text[i++];
    }
  }
  return out;
}

}  // namespace coho::trainer::demo
