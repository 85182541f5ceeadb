#include "chat_template/lexer.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "chat_template/string_literal.hpp"
#include "chat_template/template_error.hpp"
#include "chat_template/values/python_text.hpp"
#include "text/utf8.hpp"
#include "unicode/unicode_text.hpp"

namespace coho::trainer::jinja {

template_source::template_source(std::string_view name, std::string_view text) : name_(name) {
  if (text.size() > template_bytes)
    throw template_error(name, 1, 1, "is longer than " + std::to_string(template_bytes) + " bytes");
  text_.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      text_ += text[i];
    } else {
      text_ += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    }
  }
  if (text_.ends_with('\n')) text_.pop_back();
  for (std::size_t at = 0; at < text_.size();) {
    const auto size = utf8_length(std::string_view(text_).substr(at));
    if (size == 0) refuse(at, "is not UTF-8");
    at += size;
  }
}

void template_source::refuse(std::size_t offset, std::string_view cause) const {
  const auto before = std::string_view(text_).substr(0, offset);
  const auto line = static_cast<std::size_t>(std::ranges::count(before, '\n'));
  const auto begin = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  throw template_error(name_, line + 1, count_utf8_characters(before.substr(begin)) + 1, cause);
}

namespace {

bool is_decimal_digit(char c) { return c >= '0' && c <= '9'; }

class lexer {
 public:
  explicit lexer(const template_source& source) : source_(source), text_(source.text()) {}

  std::vector<lexed_token> read() {
    while (at_ < text_.size()) outside();
    add(token_kind::end, at_, "end of template");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return text_.substr(at_); }
  bool follows(std::string_view words) const { return rest().starts_with(words); }
  void add(token_kind kind, std::size_t offset, std::string text) {
    tokens_.push_back({kind, offset, std::move(text)});
  }

  void skip_space() { at_ += rest().size() - stripped(rest(), side::left).size(); }

  // Data up to the next tag, and the tag.
  void outside() {
    std::size_t begin = at_;
    for (begin = text_.find('{', begin); begin != text_.npos; begin = text_.find('{', begin + 1))
      if (begin + 1 < text_.size() && (text_[begin + 1] == '{' || text_[begin + 1] == '%' || text_[begin + 1] == '#'))
        break;
    if (begin == text_.npos) {
      data(at_, rest());
      at_ = text_.size();
      return;
    }
    const std::size_t start = at_;
    at_ = begin + 2;
    const char type = text_[begin + 1];
    const char sign = at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+') ? text_[at_++] : '\0';
    data(start, before_tag(text_.substr(start, begin - start), sign, type == '{'));
    if (type == '#') return comment(begin);
    if (type == '%' && raw(begin)) return;
    add(type == '{' ? token_kind::variable_begin : token_kind::block_begin, begin, std::string(text_.substr(begin, 2)));
    inside(type == '{', begin);
  }

  void data(std::size_t offset, std::string_view words) {
    if (!words.empty()) add(token_kind::data, offset, std::string(words));
  }

  // The data before a tag, without the white space that the tag removes.
  std::string_view before_tag(std::string_view words, char sign, bool variable) const {
    if (sign == '-') return stripped(words, side::right);
    if (sign == '+' || variable) return words;
    const auto line = words.rfind('\n') == words.npos ? 0 : words.rfind('\n') + 1;
    const bool begins_line = line > 0 || starts_line_;
    return begins_line && stripped(words.substr(line), side::left).empty() ? words.substr(0, line) : words;
  }

  // Whether the end of a tag is here, with the white space that it removes: of a block, after a comment or of a raw
  // block. A variable has no plus and removes no line break.
  bool take_end(std::string_view end, bool block) {
    const auto begin = at_;
    const bool minus = follows("-") && text_.substr(at_ + 1).starts_with(end);
    const bool plus = block && follows("+") && text_.substr(at_ + 1).starts_with(end);
    if (!minus && !plus && !follows(end)) return false;
    at_ += end.size() + (minus || plus ? 1 : 0);
    if (minus)
      skip_space();
    else if (block && !plus && follows("\n"))
      ++at_;
    starts_line_ = text_.substr(begin, at_ - begin).ends_with('\n');
    return true;
  }

  void comment(std::size_t begin) {
    for (; at_ < text_.size(); ++at_)
      if (take_end("#}", true)) return;
    source_.refuse(begin, "Missing end of comment tag");
  }

  // A raw block, whose content is data, if the tag that begins here is one.
  bool raw(std::size_t begin) {
    const auto back = at_;
    skip_space();
    if (!take_word("raw")) return at_ = back, false;
    skip_space();
    const bool minus = follows("-%}");
    if (!minus && !follows("%}")) return at_ = back, false;
    at_ += minus ? 3 : 2;
    if (minus) skip_space();
    starts_line_ = text_.substr(begin, at_ - begin).ends_with('\n');
    const auto content = at_;
    for (auto tag = text_.find("{%", at_); tag != text_.npos; tag = text_.find("{%", tag + 1)) {
      at_ = tag + 2;
      const char sign = follows("-") || follows("+") ? text_[at_++] : '\0';
      skip_space();
      if (!take_word("endraw")) continue;
      skip_space();
      const auto words = before_tag(text_.substr(content, tag - content), sign, false);
      if (!take_end("%}", true)) continue;
      data(content, words);
      return true;
    }
    source_.refuse(begin, "Missing end of raw directive");
  }

  bool take_word(std::string_view word) {
    if (!follows(word)) return false;
    at_ += word.size();
    return true;
  }

  // The tokens of a tag, up to its end.
  void inside(bool variable, std::size_t begin) {
    const std::string_view end = variable ? "}}" : "%}";
    while (at_ < text_.size()) {
      const auto offset = at_;
      if (brackets_.empty() && take_end(end, !variable)) {
        add(variable ? token_kind::variable_end : token_kind::block_end, offset, std::string(end));
        return;
      }
      if (is_space(utf8_code_point(rest())))
        skip_space();
      else
        token();
    }
    source_.refuse(begin,
                   variable ? "a print statement does not end: }} is missing" : "a tag does not end: %} is missing");
  }

  void token() {
    const char32_t c = utf8_code_point(rest());
    if (c < 0x80 && is_decimal_digit(static_cast<char>(c))) return number();
    if (c == '_' || is_word_character(c)) return name();
    if (c == '\'' || c == '"') return string();
    symbol();
  }

  void name() {
    const auto begin = at_;
    while (at_ < text_.size() && is_word_character(utf8_code_point(rest()))) at_ += utf8_length(rest());
    const auto word = text_.substr(begin, at_ - begin);
    if (!std::ranges::all_of(word, [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
      source_.refuse(begin, "a name with letters beyond ASCII is not supported");
    add(token_kind::name, begin, std::string(word));
  }

  // The number of characters of digits with single underscores between them, from a position.
  std::size_t digits(std::size_t from, std::string_view allowed) const {
    std::size_t at = from;
    const auto is_one = [&](std::size_t i) { return i < text_.size() && allowed.find(text_[i]) != allowed.npos; };
    while (is_one(at) || (at > from && at < text_.size() && text_[at] == '_' && is_one(at + 1))) ++at;
    return at - from;
  }

  void number() {
    constexpr std::string_view decimal = "0123456789";
    const auto begin = at_;
    auto end = begin + digits(begin, decimal);
    bool real = false;
    const bool after_dot = begin > 0 && text_[begin - 1] == '.';
    if (!after_dot && end < text_.size() && text_[end] == '.' && digits(end + 1, decimal) > 0) {
      end += 1 + digits(end + 1, decimal);
      real = true;
    }
    if (!after_dot && end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      auto exponent = end + 1;
      if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
      if (const auto size = digits(exponent, decimal); size > 0) {
        end = exponent + size;
        real = true;
      }
    }
    if (real) {
      auto written = without_underscores(text_.substr(begin, end - begin));
      add(token_kind::real, begin, written);
      tokens_.back().real = std::strtod(written.c_str(), nullptr);
      at_ = end;
      return;
    }
    integer(begin);
  }

  static std::string without_underscores(std::string_view written) {
    std::string out(written);
    std::erase(out, '_');
    return out;
  }

  void integer(std::size_t begin) {
    int base = 10;
    std::size_t from = begin, size = 0;
    if (text_[begin] == '0' && begin + 1 < text_.size()) {
      const char letter = static_cast<char>(text_[begin + 1] | 0x20);
      base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
      constexpr std::string_view all = "0123456789abcdefABCDEF";
      const auto allowed = base == 16 ? all : all.substr(0, static_cast<std::size_t>(base));
      from = begin + 2;
      if (from < text_.size() && text_[from] == '_') ++from;
      size = base == 10 ? 0 : digits(from, allowed);
    }
    if (size == 0) {
      // Zero is written with zeros only: what follows is the next token.
      base = 10;
      from = begin;
      size = digits(begin, text_[begin] == '0' ? "0" : "0123456789");
    }
    const auto written = without_underscores(text_.substr(from, size));
    add(token_kind::integer, begin, written);
    auto& value = tokens_.back().integer;
    if (std::from_chars(written.data(), written.data() + written.size(), value, base).ec != std::errc())
      source_.refuse(begin, "an integer of more than 64 bits is not supported");
    at_ = from + size;
  }

  void string() {
    const auto begin = at_;
    const char quote = text_[at_++];
    while (at_ < text_.size() && text_[at_] != quote) at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) source_.refuse(begin, "a string does not end");
    add(token_kind::string, begin, unescaped(source_, begin + 1, text_.substr(begin + 1, at_ - begin - 1)));
    ++at_;
  }

  void symbol() {
    constexpr std::string_view symbols[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                            "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto* const found = std::ranges::find_if(symbols, [&](std::string_view s) { return follows(s); });
    if (found == std::end(symbols))
      source_.refuse(at_, "unexpected char '" + std::string(rest().substr(0, utf8_length(rest()))) + "'");
    const char first = (*found)[0];
    if (first == '(' || first == '[' || first == '{') brackets_ += first == '(' ? ')' : first == '[' ? ']' : '}';
    if (first == ')' || first == ']' || first == '}') {
      if (brackets_.empty()) source_.refuse(at_, "unexpected '" + std::string(*found) + "'");
      if (brackets_.back() != first)
        source_.refuse(at_, "unexpected '" + std::string(*found) + "', expected '" + brackets_.back() + "'");
      brackets_.pop_back();
    }
    add(token_kind::symbol, at_, std::string(*found));
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

std::vector<lexed_token> lex(const template_source& source) { return lexer(source).read(); }

}  // namespace coho::trainer::jinja
