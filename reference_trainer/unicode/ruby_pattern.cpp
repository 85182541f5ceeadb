#include "unicode/ruby_pattern.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include <coho/error.hpp>

#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

// White_Space and what is not, for inside a class.
constexpr std::string_view space_set =
    R"(\t-\r\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view not_space_set =
    R"(\x{0}-\x{8}\x{E}-\x{1F}\x{21}-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027})"
    R"(\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF})";
constexpr std::string_view word_set = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view digit_set = R"(\p{Nd})", not_digit_set = R"(\P{Nd})";
constexpr std::string_view hex_set = "0-9A-Fa-f";

constexpr std::array<std::pair<std::string_view, std::string_view>, 12> brackets{{
    {"alpha", R"(\p{Alphabetic})"},
    {"digit", digit_set},
    {"alnum", R"(\p{Alphabetic}\p{M}\p{Nd})"},
    {"upper", R"(\p{Uppercase})"},
    {"lower", R"(\p{Lowercase})"},
    {"space", space_set},
    {"punct", R"(\p{P}$+<=>^`|~)"},
    {"cntrl", R"(\p{Cc})"},
    {"blank", R"(\t\p{Zs})"},
    {"xdigit", hex_set},
    {"word", word_set},
    {"ascii", R"(\x{0}-\x{7F})"},
}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }

// One pass over the expression that is left: what both syntaxes share is copied, the rest is written in PCRE2's.
class ruby_translation {
 public:
  explicit ruby_translation(std::string_view expression) : rest_(expression) {}

  // The expression in PCRE2's syntax.
  std::string translate() {
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c == '\\') {
        begin_atom();
        translate_escape(false);
      } else if (c == '[') {
        begin_atom();
        translate_class();
      } else if (c == '(') {
        translate_group();
      } else if (c == ')') {
        if (open_.empty()) refuse("an unmatched )");
        atom_ = open_.back();
        open_.pop_back();
        copy(1);
      } else if (c == '{') {
        translate_repetition();
      } else {
        if (c != '*' && c != '+' && c != '?') begin_atom();
        copy(std::max<std::size_t>(1, utf8_length(rest_)));
      }
    }
    return std::move(out_);
  }

 private:
  // Completed by the caller, which knows the file: "<place>: has <what>, which is not supported".
  [[noreturn]] static void refuse(const std::string& what) {
    throw argument_error("has " + what + ", which is not supported");
  }

  // A repetition that follows applies to what begins here.
  void begin_atom() { atom_ = out_.size(); }
  void skip(std::size_t count) { rest_.remove_prefix(std::min(count, rest_.size())); }
  // Moves bytes of the expression to the translation as they are.
  void copy(std::size_t count) {
    out_.append(rest_.substr(0, count));
    skip(count);
  }
  // Appends the members within a class, or as a class of their own. `negated` is of a class of its own only: within a
  // class give the members of the complement.
  void append_class(std::string_view members, bool in_class, bool negated = false) {
    if (in_class)
      out_.append(members);
    else
      out_.append(negated ? "[^" : "[").append(members).append("]");
  }

  // The opening of a group; "(?<name>" is copied, as both syntaxes have it.
  void translate_group() {
    open_.push_back(out_.size());
    if (!rest_.starts_with("(?")) return copy(1);
    const auto kind = rest_.substr(2);
    for (const std::string_view known : {":", "=", "!", ">", "<=", "<!", "#"}) {
      if (!kind.starts_with(known)) continue;
      if (known == "#") refuse("a comment");
      return copy(2 + known.size());
    }
    if (kind.starts_with('<')) return copy(3);
    std::size_t size = 0;
    while (size < kind.size() && (kind[size] == 'i' || kind[size] == 'x' || kind[size] == '-')) ++size;
    if (size == kind.size() || (kind[size] != ':' && kind[size] != ')') || size == 0)
      refuse("a group that begins with \"(?" + std::string(kind.substr(0, size + 1)) + "\"");
    if (kind.substr(0, size).find('x') != std::string_view::npos) refuse("the option x");
    // Elsewhere it would hold for the alternatives after it there, and not here.
    if (kind[size] == ')' && !out_.empty()) refuse("(?i) after the beginning");
    copy(2 + size);
    if (kind[size] == ':') copy(1);
  }

  // {n}, {n,}, {n,m}, {,m}; any other brace is a character.
  void translate_repetition() {
    std::size_t at = 1;
    const auto digits = [&] {
      const auto from = at;
      while (at < rest_.size() && is_digit(rest_[at])) ++at;
      return at > from;
    };
    const bool low = digits();
    const bool comma = at < rest_.size() && rest_[at] == ',';
    at += comma;
    const bool high = comma && digits();
    if (at >= rest_.size() || rest_[at] != '}' || (!low && !high)) {
      begin_atom();
      out_ += "\\{";
      return skip(1);
    }
    out_ += low ? "{" : "{0";
    skip(1);
    copy(at);
    const bool repeated = rest_.starts_with('+'), optional = !comma && rest_.starts_with('?');
    if (repeated || optional) {
      out_.insert(atom_, "(?:");
      out_ += ')';
    }
  }

  // A backslash and what it means. Ruby's sets of characters are written out, since those of PCRE2 differ.
  void translate_escape(bool in_class) {
    if (rest_.size() < 2) refuse("a backslash at its end");
    const char c = rest_[1];
    switch (c) {
      case 's':
        append_class(space_set, in_class);
        return skip(2);
      case 'S':
        append_class(in_class ? not_space_set : space_set, in_class, true);
        return skip(2);
      case 'w':
        append_class(word_set, in_class);
        return skip(2);
      case 'd':
        append_class(digit_set, in_class);
        return skip(2);
      case 'D':
        append_class(in_class ? not_digit_set : digit_set, in_class, true);
        return skip(2);
      case 'h':
        append_class(hex_set, in_class);
        return skip(2);
      case 'W':
      case 'H':
        if (in_class) refuse(std::string("\\") + c + " within a class");
        append_class(c == 'W' ? word_set : hex_set, false, true);
        return skip(2);
      case 'u':
      case 'x':
        return translate_code_point();
      case 'p':
      case 'P':
        return translate_property();
      default:
        break;
    }
    const bool letter = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || is_digit(c);
    if (letter && std::string_view("tnrfeaAzZ").find(c) == std::string_view::npos) refuse(std::string("\\") + c);
    // A character of several bytes is copied byte by byte; the backslash before it means nothing.
    if (static_cast<unsigned char>(c) >= 0x80) return skip(1);
    copy(2);
  }

  // \xHH, \x{H…} and \uHHHH. In Ruby a byte beyond ASCII would be part of a character.
  void translate_code_point() {
    std::string digits;
    std::size_t at = 2;
    if (rest_[1] == 'x' && rest_.substr(2).starts_with('{')) {
      const auto end = rest_.find('}');
      if (end == std::string_view::npos) refuse("\\x{ without }");
      digits = rest_.substr(3, end - 3);
      at = end + 1;
    } else {
      const std::size_t most = rest_[1] == 'u' ? 4 : 2;
      while (at < rest_.size() && digits.size() < most && is_hex(rest_[at])) digits += rest_[at++];
      if (rest_[1] == 'u' && digits.size() < 4) refuse("\\u without four digits");
      if (rest_[1] == 'x' && (digits.empty() || (digits.size() == 2 && digits[0] > '7'))) refuse("a byte beyond ASCII");
    }
    if (digits.empty() || digits.size() > 8 || !std::ranges::all_of(digits, is_hex)) refuse("a malformed \\x{…}");
    out_ += "\\x{" + digits + "}";
    skip(at);
  }

  // \p{…} and \P{…}, whose names PCRE2 shares.
  void translate_property() {
    const auto end = rest_.find('}');
    if (rest_.size() < 3 || rest_[2] != '{' || end == std::string_view::npos) refuse("\\p without a name in braces");
    copy(end + 1);
  }

  // A class in brackets; a "]" at its start is a member.
  void translate_class() {
    copy(1);
    if (rest_.starts_with('^')) copy(1);
    if (rest_.starts_with(']')) {
      out_ += "\\]";
      skip(1);
    }
    while (!rest_.starts_with(']')) {
      if (rest_.empty()) refuse("a class without ]");
      if (rest_.starts_with("&&")) refuse("an intersection of classes (&&)");
      if (rest_.starts_with("[:")) {
        translate_posix_class();
      } else if (rest_.front() == '[') {
        refuse("a class within a class");
      } else if (rest_.front() == '\\') {
        translate_escape(true);
      } else {
        copy(1);
      }
    }
    copy(1);
  }

  // [:name:] within a class.
  void translate_posix_class() {
    const auto end = rest_.find(":]");
    const auto name = rest_.substr(2, end == std::string_view::npos ? end : end - 2);
    for (const auto& [known, members] : brackets) {
      if (name != known) continue;
      out_.append(members);
      return skip(end + 2);
    }
    refuse("[:" + std::string(name) + ":]");
  }

  std::string_view rest_;
  std::string out_;
  std::size_t atom_ = 0;           // where the last thing that can be repeated begins
  std::vector<std::size_t> open_;  // where the open groups begin
};

}  // namespace

std::string ruby_to_pcre2(std::string_view expression) { return ruby_translation(expression).translate(); }

}  // namespace coho::trainer
