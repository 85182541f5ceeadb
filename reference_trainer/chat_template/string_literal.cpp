#include "chat_template/string_literal.hpp"

#include <cstdint>
#include <optional>

#include "text/utf8.hpp"

namespace coho::trainer::jinja {

namespace {

class unescaper {
 public:
  unescaper(const template_source& source, std::size_t offset, std::string_view content)
      : source_(source), begin_(offset), content_(content) {}

  // The whole content. Called once.
  std::string unescape() {
    while (at_ < content_.size()) {
      if (content_[at_] == '\\')
        append_escape();
      else
        out_ += content_[at_++];
    }
    return std::move(out_);
  }

 private:
  // The escape that begins at the current backslash; of one that Python does not know the backslash stays.
  void append_escape() {
    const auto start = at_++;
    const char c = content_[at_];
    constexpr std::string_view letters = "\\'\"abfnrtv", meanings = "\\'\"\a\b\f\n\r\t\v";
    if (c == '\n') {
      ++at_;
    } else if (const auto found = letters.find(c); found != letters.npos) {
      out_ += meanings[found];
      ++at_;
    } else if (c >= '0' && c <= '7') {
      char32_t code = 0;
      for (int i = 0; i < 3 && at_ < content_.size() && content_[at_] >= '0' && content_[at_] <= '7'; ++i)
        code = code * 8 + static_cast<char32_t>(content_[at_++] - '0');
      append_utf8(out_, code);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      ++at_;
      append_hex_escape(start, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c == 'N') {
      source_.refuse(begin_ + start, "characters by name, \\N{…}, are not supported");
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      append_non_ascii_escape();
    } else {
      out_ += '\\';
    }
  }

  // The character of \x, \u or \U, whose digits are next. `start`: of the escape, for messages.
  void append_hex_escape(std::size_t start, std::size_t digits) {
    std::uint32_t code = 0;
    for (std::size_t i = 0; i < digits; ++i, ++at_) {
      const char c = at_ < content_.size() ? content_[at_] : ' ';
      const char letter = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9')
        code = code * 16 + static_cast<std::uint32_t>(c - '0');
      else if (letter >= 'a' && letter <= 'f')
        code = code * 16 + static_cast<std::uint32_t>(letter - 'a' + 10);
      else
        source_.refuse(begin_ + start, "an escape of a string has too few hexadecimal digits");
    }
    if (code > 0x10FFFF) source_.refuse(begin_ + start, "an escape of a string is beyond the last character, U+10FFFF");
    if (code >= 0xD800 && code < 0xE000)
      source_.refuse(begin_ + start, "an escape of a string is half of a surrogate pair: write \\U and eight digits");
    append_utf8(out_, code);
  }

  // Jinja makes such a character an escape of its own, whose backslash the one before it escapes.
  void append_non_ascii_escape() {
    const auto rest = content_.substr(at_);
    const auto code = utf8_code_point(rest);
    const int digits = code < 0x100 ? 2 : code < 0x10000 ? 4 : 8;
    out_ += digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out_ += "0123456789abcdef"[(code >> shift) & 15u];
    at_ += utf8_length(rest);
  }

  const template_source& source_;
  std::size_t begin_;
  std::string_view content_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string unescape_string_literal(const template_source& source, std::size_t offset, std::string_view content) {
  return unescaper(source, offset, content).unescape();
}

}  // namespace coho::trainer::jinja
