#include "jsonl/python_literal.hpp"

#include <charconv>
#include <cstdint>
#include <limits>
#include <string>

#include <nlohmann/json.hpp>

#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

// Recursive descent over the text that is left; each parse_… returns nothing at a fault.
class python_literal_parser {
 public:
  explicit python_literal_parser(std::string_view text) : rest_(text) {}

  // The whole text: nothing may follow the value.
  std::optional<json> parse() {
    auto value = parse_value(0);
    skip_space();
    return rest_.empty() ? value : std::nullopt;
  }

 private:
  static constexpr int max_depth = 32;

  void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size())); }
  // Skips white space, and the character if it is next.
  bool consume(char c) {
    skip_space();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // The same for a word, without skipping white space.
  bool consume_word(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  // `depth`: how many brackets it is within; a limit keeps the stack small.
  std::optional<json> parse_value(int depth) {
    skip_space();
    if (rest_.empty() || depth > max_depth) return std::nullopt;
    if (consume('(')) return parse_sequence(')', depth);
    if (consume('[')) return parse_sequence(']', depth);
    if (rest_[0] == '\'' || rest_[0] == '"') return parse_string();
    if (consume_word("True")) return json(true);
    if (consume_word("False")) return json(false);
    if (consume_word("None")) return json();
    if (consume_word("np.") || consume_word("numpy.")) return parse_numpy_scalar(depth);
    return parse_number();
  }

  // The items up to `close`; a comma after the last one is allowed.
  std::optional<json> parse_sequence(char close, int depth) {
    auto out = json::array();
    while (!consume(close)) {
      auto value = parse_value(depth + 1);
      if (!value) return std::nullopt;
      out.push_back(std::move(*value));
      if (consume(',')) continue;
      if (!consume(close)) return std::nullopt;
      // In Python, parentheses around one value without a comma are not a tuple; the data use them as one nonetheless.
      break;
    }
    return out;
  }

  // A number of up to 15 digits without point or exponent is an integer: any larger one may not be exact as a double.
  std::optional<json> parse_number() {
    double value = 0;
    const bool negative = rest_.starts_with('-');
    if (negative || rest_.starts_with('+')) rest_.remove_prefix(1);
    if (rest_.empty() || rest_[0] == '-' || rest_[0] == '+') return std::nullopt;
    const auto* const begin = rest_.data();
    const auto [end, failure] = std::from_chars(begin, begin + rest_.size(), value);
    if (failure != std::errc()) return std::nullopt;
    const std::string_view digits(begin, static_cast<std::size_t>(end - begin));
    rest_.remove_prefix(digits.size());
    if (negative) value = -value;
    const bool integer = digits.find_first_not_of("0123456789") == std::string_view::npos && digits.size() < 16;
    return integer ? json(static_cast<std::int64_t>(value)) : json(value);
  }

  // Since numpy 2 a number prints as np.float64(0.5).
  std::optional<json> parse_numpy_scalar(int depth) {
    const auto open = rest_.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_");
    if (open == std::string_view::npos || rest_[open] != '(') return std::nullopt;
    rest_.remove_prefix(open + 1);
    auto value = parse_value(depth + 1);
    return consume(')') ? value : std::nullopt;
  }

  // Exactly so many digits.
  std::optional<std::uint32_t> parse_hex(std::size_t digits) {
    if (rest_.size() < digits) return std::nullopt;
    std::uint32_t code = 0;
    const auto [end, failure] = std::from_chars(rest_.data(), rest_.data() + digits, code, 16);
    if (failure != std::errc() || end != rest_.data() + digits) return std::nullopt;
    rest_.remove_prefix(digits);
    return code;
  }

  // From its opening quote; an escape that Python does not know keeps its backslash, as in Python.
  std::optional<json> parse_string() {
    const char quote = rest_[0];
    rest_.remove_prefix(1);
    std::string out;
    while (!rest_.empty()) {
      const char c = rest_[0];
      rest_.remove_prefix(1);
      if (c == quote) return json(out);
      if (c != '\\') {
        out += c;
        continue;
      }
      if (rest_.empty()) break;
      const char escaped = rest_[0];
      rest_.remove_prefix(1);
      switch (escaped) {
        case 'n':
          out += '\n';
          break;
        case 't':
          out += '\t';
          break;
        case 'r':
          out += '\r';
          break;
        case '\n':
          break;
        case '\\':
        case '\'':
        case '"':
          out += escaped;
          break;
        case 'x':
        case 'u':
        case 'U': {
          const auto code = parse_hex(escaped == 'x' ? 2 : escaped == 'u' ? 4 : 8);
          if (!code || *code > 0x10FFFF || (*code >= 0xD800 && *code < 0xE000)) return std::nullopt;
          append_utf8(out, *code);
          break;
        }
        default:
          out += '\\', out += escaped;
      }
    }
    return std::nullopt;
  }

  std::string_view rest_;
};

}  // namespace

std::optional<json> parse_python_literal(std::string_view text) { return python_literal_parser(text).parse(); }

}  // namespace coho::trainer
