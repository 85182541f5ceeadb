#include "chat_template/lexer.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "chat_template/string_literal.hpp"
#include "chat_template/values/python_number.hpp"
#include "chat_template/values/python_text.hpp"
#include "text/utf8.hpp"
#include "unicode/unicode_text.hpp"

namespace coho::trainer::jinja {

namespace {

class lexer {
 public:
  explicit lexer(const template_source& source) : source_(source), text_(source.text()) {}

  // The whole template. Called once.
  std::vector<lexed_token> tokenize() {
    while (at_ < text_.size()) read_data_and_tag();
    add_token(token_kind::end, at_, "end of template");
    return std::move(tokens_);
  }

 private:
  // From the current position.
  std::string_view remaining_text() const { return text_.substr(at_); }
  // Whether the text at the current position begins so.
  bool next_is(std::string_view words) const { return remaining_text().starts_with(words); }
  // `offset`: of its first byte in the source.
  void add_token(token_kind kind, std::size_t offset, std::string text) {
    tokens_.push_back({kind, offset, std::move(text)});
  }

  // White space of Python, Unicode's included.
  void skip_white_space() { at_ += remaining_text().size() - strip_characters(remaining_text(), side::left).size(); }

  // Data up to the next tag, and the tag.
  void read_data_and_tag() {
    std::size_t begin = at_;
    for (begin = text_.find('{', begin); begin != text_.npos; begin = text_.find('{', begin + 1))
      if (begin + 1 < text_.size() && (text_[begin + 1] == '{' || text_[begin + 1] == '%' || text_[begin + 1] == '#'))
        break;
    if (begin == text_.npos) {
      add_data(at_, remaining_text());
      at_ = text_.size();
      return;
    }
    const std::size_t start = at_;
    at_ = begin + 2;
    const char type = text_[begin + 1];
    const char sign = at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+') ? text_[at_++] : '\0';
    add_data(start, data_before_tag(text_.substr(start, begin - start), sign, type == '{'));
    if (type == '#') return skip_comment(begin);
    if (type == '%' && take_raw_block(begin)) return;
    add_token(type == '{' ? token_kind::variable_begin : token_kind::block_begin, begin,
              std::string(text_.substr(begin, 2)));
    read_tag(type == '{', begin);
  }

  // Empty data makes no token.
  void add_data(std::size_t offset, std::string_view words) {
    if (!words.empty()) add_token(token_kind::data, offset, std::string(words));
  }

  // The data before a tag, without the white space that the tag removes.
  std::string_view data_before_tag(std::string_view words, char sign, bool variable) const {
    if (sign == '-') return strip_characters(words, side::right);
    if (sign == '+' || variable) return words;
    const auto line = words.rfind('\n') == words.npos ? 0 : words.rfind('\n') + 1;
    const bool begins_line = line > 0 || starts_line_;
    return begins_line && strip_characters(words.substr(line), side::left).empty() ? words.substr(0, line) : words;
  }

  // Whether the end of a tag is here, with the white space that it removes: of a block, after a comment or of a raw
  // block. A variable has no plus and removes no line break.
  bool take_tag_end(std::string_view end, bool block) {
    const auto begin = at_;
    const bool minus = next_is("-") && text_.substr(at_ + 1).starts_with(end);
    const bool plus = block && next_is("+") && text_.substr(at_ + 1).starts_with(end);
    if (!minus && !plus && !next_is(end)) return false;
    at_ += end.size() + (minus || plus ? 1 : 0);
    if (minus)
      skip_white_space();
    else if (block && !plus && next_is("\n"))
      ++at_;
    starts_line_ = text_.substr(begin, at_ - begin).ends_with('\n');
    return true;
  }

  // Moves past the comment that begins at `begin`. Throws `template_error` if it does not end.
  void skip_comment(std::size_t begin) {
    for (; at_ < text_.size(); ++at_)
      if (take_tag_end("#}", true)) return;
    source_.refuse(begin, "Missing end of comment tag");
  }

  // A raw block, whose content is data, if the tag that begins here is one.
  bool take_raw_block(std::size_t begin) {
    const auto back = at_;
    skip_white_space();
    if (!take_word("raw")) return at_ = back, false;
    skip_white_space();
    const bool minus = next_is("-%}");
    if (!minus && !next_is("%}")) return at_ = back, false;
    at_ += minus ? 3 : 2;
    if (minus) skip_white_space();
    starts_line_ = text_.substr(begin, at_ - begin).ends_with('\n');
    const auto content = at_;
    for (auto tag = text_.find("{%", at_); tag != text_.npos; tag = text_.find("{%", tag + 1)) {
      at_ = tag + 2;
      const char sign = next_is("-") || next_is("+") ? text_[at_++] : '\0';
      skip_white_space();
      if (!take_word("endraw")) continue;
      skip_white_space();
      const auto words = data_before_tag(text_.substr(content, tag - content), sign, false);
      if (!take_tag_end("%}", true)) continue;
      add_data(content, words);
      return true;
    }
    source_.refuse(begin, "Missing end of raw directive");
  }

  // Moves past the word if it is next.
  bool take_word(std::string_view word) {
    if (!next_is(word)) return false;
    at_ += word.size();
    return true;
  }

  // The tokens of a tag, up to its end.
  void read_tag(bool variable, std::size_t begin) {
    const std::string_view end = variable ? "}}" : "%}";
    while (at_ < text_.size()) {
      const auto offset = at_;
      if (brackets_.empty() && take_tag_end(end, !variable)) {
        add_token(variable ? token_kind::variable_end : token_kind::block_end, offset, std::string(end));
        return;
      }
      if (is_space(utf8_code_point(remaining_text())))
        skip_white_space();
      else
        read_token();
    }
    source_.refuse(begin,
                   variable ? "a print statement does not end: }} is missing" : "a tag does not end: %} is missing");
  }

  // One token within a tag, by its first character.
  void read_token() {
    const char32_t c = utf8_code_point(remaining_text());
    if (c < 0x80 && is_decimal_digit(static_cast<char>(c))) return read_number();
    if (c == '_' || is_word_character(c)) return read_name();
    if (c == '\'' || c == '"') return read_string();
    read_symbol();
  }

  // Throws `template_error` for letters beyond ASCII, which Python would normalise.
  void read_name() {
    const auto begin = at_;
    while (at_ < text_.size() && is_word_character(utf8_code_point(remaining_text())))
      at_ += utf8_length(remaining_text());
    const auto word = text_.substr(begin, at_ - begin);
    if (!std::ranges::all_of(word, [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
      source_.refuse(begin, "a name with letters beyond ASCII is not supported");
    add_token(token_kind::name, begin, std::string(word));
  }

  // The number of characters of digits with single underscores between them, from a position.
  std::size_t digit_run(std::size_t from, std::string_view allowed) const {
    std::size_t at = from;
    const auto is_one = [&](std::size_t i) { return i < text_.size() && allowed.find(text_[i]) != allowed.npos; };
    while (is_one(at) || (at > from && at < text_.size() && text_[at] == '_' && is_one(at + 1))) ++at;
    return at - from;
  }

  // A real number, or else an integer. After a dot digits are an index: `a.0.1` has no real number.
  void read_number() {
    constexpr std::string_view decimal = "0123456789";
    const auto begin = at_;
    auto end = begin + digit_run(begin, decimal);
    bool real = false;
    const bool after_dot = begin > 0 && text_[begin - 1] == '.';
    if (!after_dot && end < text_.size() && text_[end] == '.' && digit_run(end + 1, decimal) > 0) {
      end += 1 + digit_run(end + 1, decimal);
      real = true;
    }
    if (!after_dot && end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      auto exponent = end + 1;
      if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
      if (const auto size = digit_run(exponent, decimal); size > 0) {
        end = exponent + size;
        real = true;
      }
    }
    if (real) {
      auto written = without_underscores(text_.substr(begin, end - begin));
      add_token(token_kind::real, begin, written);
      tokens_.back().real = std::strtod(written.c_str(), nullptr);
      at_ = end;
      return;
    }
    read_integer(begin);
  }

  // Python's `1_000` as C++ reads it.
  static std::string without_underscores(std::string_view written) {
    std::string out(written);
    std::erase(out, '_');
    return out;
  }

  // Decimal, or with 0x, 0o or 0b. Throws `template_error` beyond 64 bits.
  void read_integer(std::size_t begin) {
    int base = 10;
    std::size_t from = begin, size = 0;
    if (text_[begin] == '0' && begin + 1 < text_.size()) {
      const char letter = static_cast<char>(text_[begin + 1] | 0x20);
      base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
      constexpr std::string_view all = "0123456789abcdefABCDEF";
      const auto allowed = base == 16 ? all : all.substr(0, static_cast<std::size_t>(base));
      from = begin + 2;
      if (from < text_.size() && text_[from] == '_') ++from;
      size = base == 10 ? 0 : digit_run(from, allowed);
    }
    if (size == 0) {
      // Zero is written with zeros only: what follows is the next token.
      base = 10;
      from = begin;
      size = digit_run(begin, text_[begin] == '0' ? "0" : "0123456789");
    }
    const auto written = without_underscores(text_.substr(from, size));
    add_token(token_kind::integer, begin, written);
    auto& value = tokens_.back().integer;
    if (std::from_chars(written.data(), written.data() + written.size(), value, base).ec != std::errc())
      source_.refuse(begin, "an integer of more than 64 bits is not supported");
    at_ = from + size;
  }

  // In single or double quotes, its escapes replaced.
  void read_string() {
    const auto begin = at_;
    const char quote = text_[at_++];
    while (at_ < text_.size() && text_[at_] != quote) at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) source_.refuse(begin, "a string does not end");
    add_token(token_kind::string, begin,
              unescape_string_literal(source_, begin + 1, text_.substr(begin + 1, at_ - begin - 1)));
    ++at_;
  }

  // The longest operator or bracket. Brackets must match: a tag ends outside of them only.
  void read_symbol() {
    constexpr std::string_view symbols[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                            "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto* const found = std::ranges::find_if(symbols, [&](std::string_view s) { return next_is(s); });
    if (found == std::end(symbols))
      source_.refuse(
          at_, "unexpected char '" + std::string(remaining_text().substr(0, utf8_length(remaining_text()))) + "'");
    const char first = (*found)[0];
    if (first == '(' || first == '[' || first == '{') brackets_ += first == '(' ? ')' : first == '[' ? ']' : '}';
    if (first == ')' || first == ']' || first == '}') {
      if (brackets_.empty()) source_.refuse(at_, "unexpected '" + std::string(*found) + "'");
      if (brackets_.back() != first)
        source_.refuse(at_, "unexpected '" + std::string(*found) + "', expected '" + brackets_.back() + "'");
      brackets_.pop_back();
    }
    add_token(token_kind::symbol, at_, std::string(*found));
    at_ += found->size();
  }

  const template_source& source_;
  std::string_view text_;
  std::size_t at_ = 0;
  bool starts_line_ = true;  ///< whether the last tag ended with a line break, or there was none
  std::string brackets_;     ///< those that close what is open
  std::vector<lexed_token> tokens_;
};

}  // namespace

std::vector<lexed_token> tokenize(const template_source& source) { return lexer(source).tokenize(); }

}  // namespace coho::trainer::jinja
