#include "chat_template/values/python_number.hpp"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <string>

#include "chat_template/errors/template_error.hpp"
#include "chat_template/values/python_text.hpp"

namespace coho::trainer::jinja {

namespace {

// The text without its underscores, of which each must be between two digits.
std::optional<std::string> without_underscores(std::string_view text, bool (*is_digit)(char)) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_')
      out += text[i];
    else if (i == 0 || i + 1 == text.size() || !is_digit(text[i - 1]) || !is_digit(text[i + 1]))
      return std::nullopt;
  }
  return out;
}

// The digits of bases up to 36; ASCII only.
bool is_letter_or_digit(char c) { return is_decimal_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'); }

// Removes a sign; whether it was a minus.
bool take_sign(std::string_view& text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  return negative;
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text, int base) {
  if (base != 0 && (base < 2 || base > 36)) return std::nullopt;
  text = strip_characters(text, side::both);
  const bool negative = take_sign(text);
  const auto prefix = text.size() > 2 && text[0] == '0' ? static_cast<char>(text[1] | 0x20) : '\0';
  const int written = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 0;
  bool prefixed = false;
  if (written != 0 && (base == 0 || base == written)) {
    text.remove_prefix(2);
    if (text.starts_with('_')) text.remove_prefix(1);
    base = written;
    prefixed = true;
  }
  if (base == 0) {
    if (!prefixed && text.size() > 1 && text[0] == '0' && text.find_first_not_of("0_") != text.npos)
      return std::nullopt;
    base = 10;
  }
  const auto digits = without_underscores(text, is_letter_or_digit);
  if (!digits || digits->empty() || !is_letter_or_digit(digits->front())) return std::nullopt;
  std::int64_t out = 0;
  const auto signed_digits = (negative ? "-" : "") + *digits;
  const auto* const end = signed_digits.data() + signed_digits.size();
  const auto [stop, problem] = std::from_chars(signed_digits.data(), end, out, base);
  if (problem == std::errc::invalid_argument || stop != end) return std::nullopt;
  if (problem != std::errc()) throw failure("an integer of more than 64 bits is not supported");
  return out;
}

std::optional<double> parse_real(std::string_view text) {
  text = strip_characters(text, side::both);
  const bool negative = take_sign(text);
  const auto word = lower_case(text);
  if (word == "inf" || word == "infinity")
    return negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  const auto digits = without_underscores(text, is_decimal_digit);
  if (!digits || digits->empty() || (!is_decimal_digit(digits->front()) && digits->front() != '.')) return std::nullopt;
  double out = 0;
  const auto* const end = digits->data() + digits->size();
  const auto [stop, problem] = std::from_chars(digits->data(), end, out);
  if (stop != end || problem == std::errc::invalid_argument) return std::nullopt;
  // from_chars leaves the number as it was; strtod gives infinity or 0.
  if (problem == std::errc::result_out_of_range) out = std::strtod(digits->c_str(), nullptr);
  return negative ? -out : out;
}

}  // namespace coho::trainer::jinja
