#include "unicode/byte_alphabet.hpp"

#include <array>
#include <cstdint>

#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

// Whether the character of a byte has its number: the printable ones of Latin-1 without white space and the soft
// hyphen.
constexpr bool maps_to_itself(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/// The character of each byte as one or two bytes of UTF-8.
struct spelling {
  std::array<char, 2> text{};
  std::uint8_t size = 0;
};

struct alphabet {
  std::array<spelling, 256> of_byte{};
  std::array<std::int16_t, 512> of_character{};

  // Computed at compile time: both directions, −1 for characters that spell no byte.
  constexpr alphabet() {
    of_character.fill(-1);
    unsigned next = 256;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const unsigned c = maps_to_itself(byte) ? byte : next++;
      of_character[c] = static_cast<std::int16_t>(byte);
      if (c < 0x80)
        of_byte[byte] = {{static_cast<char>(c), 0}, 1};
      else
        of_byte[byte] = {{static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))}, 2};
    }
  }
};

constexpr alphabet letters;

}  // namespace

void append_byte_alphabet(std::string& out, std::string_view bytes) {
  const std::size_t before = out.size();
  out.resize(before + 2 * bytes.size());
  char* end = out.data() + before;
  for (const char byte : bytes) {
    const auto& letter = letters.of_byte[static_cast<unsigned char>(byte)];
    end[0] = letter.text[0];
    end[1] = letter.text[1];
    end += letter.size;
  }
  out.resize(static_cast<std::size_t>(end - out.data()));
}

std::string to_byte_alphabet(std::string_view bytes) {
  std::string out;
  append_byte_alphabet(out, bytes);
  return out;
}

std::string from_byte_alphabet(std::string_view text) {
  std::string out;
  for (std::string_view rest = text; !rest.empty();) {
    const auto length = utf8_length(rest);
    const char32_t c = length == 0 ? 0xFFFF : utf8_code_point(rest);
    if (c >= letters.of_character.size() || letters.of_character[c] < 0) return std::string(text);
    out += static_cast<char>(letters.of_character[c]);
    rest.remove_prefix(length);
  }
  return out;
}

}  // namespace coho::trainer
