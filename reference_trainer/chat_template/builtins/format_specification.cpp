#include "chat_template/builtins/format_specification.hpp"

#include <cmath>
#include <cstdio>

#include "chat_template/values/python_text.hpp"
#include "chat_template/values/value_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

namespace {

constexpr std::size_t most_digits = 1000;

// Removes the digits at the start, 0 if there are none. Throws `failure` beyond ten million.
std::size_t take_number(std::string_view& text) {
  std::size_t out = 0;
  while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
    out = out * 10 + static_cast<std::size_t>(text[0] - '0');
    if (out > 10'000'000) throw failure("Too many decimal digits in format string");
    text.remove_prefix(1);
  }
  return out;
}

// `base`: from 2 to 16.
std::string digits_in_base(std::uint64_t magnitude, unsigned base, bool capitals) {
  const std::string_view digits = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  do {
    out.insert(out.begin(), digits[magnitude % base]);
    magnitude /= base;
  } while (magnitude > 0);
  return out;
}

// With a comma between groups of three digits before the point.
std::string group_thousands(std::string digits) {
  auto end = digits.find_first_not_of("0123456789");
  if (end == digits.npos) end = digits.size();
  for (std::size_t at = end; at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

// `sign`: what the specification says of positive numbers.
std::string sign_text(bool negative, char sign) { return negative ? "-" : sign == '-' ? "" : std::string(1, sign); }

// With sign and prefix.
std::string integer_digits(std::int64_t number, const format_specification& form) {
  const auto magnitude = number < 0 ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
  std::string digits, prefix;
  switch (form.type) {
    case 'b':
      digits = digits_in_base(magnitude, 2, false), prefix = "0b";
      break;
    case 'o':
      digits = digits_in_base(magnitude, 8, false), prefix = "0o";
      break;
    case 'x':
    case 'X':
      digits = digits_in_base(magnitude, 16, form.type == 'X'), prefix = form.type == 'X' ? "0X" : "0x";
      break;
    default:
      digits = std::to_string(magnitude);
      if (form.grouped) digits = group_thousands(std::move(digits));
  }
  return sign_text(number < 0, form.sign) + (form.alternate ? prefix : "") + digits;
}

// With sign; without a type as `str`, or with the precision of type g.
std::string format_real(double x, const format_specification& form) {
  const bool negative = std::signbit(x) && !std::isnan(x);
  std::string digits;
  if (form.type == '%') {
    digits = real_digits(std::fabs(x) * 100, 'f', form.precision.value_or(6), form.alternate) + '%';
  } else if (form.type == 0) {
    digits = form.precision ? real_digits(std::fabs(x), 'g', *form.precision, form.alternate) : real_text(std::fabs(x));
    // Without a type there is a digit after the point.
    if (form.precision && digits.find_first_of(".en") == digits.npos) digits += ".0";
  } else {
    digits = real_digits(std::fabs(x), form.type, form.precision.value_or(6), form.alternate);
  }
  if (form.grouped) digits = group_thousands(std::move(digits));
  return sign_text(negative, form.sign) + digits;
}

}  // namespace

std::string real_digits(double x, char type, std::size_t precision, bool alternate) {
  const bool capitals = type == 'E' || type == 'F' || type == 'G';
  if (!std::isfinite(x)) {
    const std::string out = std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf";
    return capitals ? upper_case(out) : out;
  }
  if (precision > most_digits) throw failure("a precision of more than 1000 digits is not supported");
  const std::string format = std::string("%") + (alternate ? "#" : "") + ".*" + type;
  char buffer[most_digits + 400];
  const int size = std::snprintf(buffer, sizeof buffer, format.c_str(), static_cast<int>(precision), x);
  return {buffer, static_cast<std::size_t>(size)};
}

format_specification parse_format_specification(std::string_view text) {
  format_specification out;
  const auto is_align = [](char c) { return std::string_view("<>=^").find(c) != std::string_view::npos; };
  const std::size_t first = text.empty() ? 0 : utf8_length(text);
  if (text.size() > first && first > 0 && is_align(text[first])) {
    out.fill = text.substr(0, first), out.align = text[first];
    text.remove_prefix(first + 1);
  } else if (!text.empty() && is_align(text[0])) {
    out.align = text[0];
    text.remove_prefix(1);
  }
  const auto take = [&](char c) {
    if (!text.starts_with(c)) return false;
    text.remove_prefix(1);
    return true;
  };
  for (const char sign : {'+', '-', ' '})
    if (take(sign)) {
      out.sign = sign;
      break;
    }
  out.alternate = take('#');
  if (take('0')) {
    if (out.align == 0) out.align = '=', out.fill = "0";
  }
  out.width = take_number(text);
  out.grouped = take(',');
  if (take('.')) {
    if (text.empty() || text[0] < '0' || text[0] > '9') throw failure("Format specifier missing precision");
    out.precision = take_number(text);
  }
  if (!text.empty()) {
    out.type = text[0];
    text.remove_prefix(1);
  }
  if (!text.empty()) throw failure("Invalid format specifier");
  return out;
}

std::string format_value(sandbox& box, const value& value, const format_specification& form) {
  constexpr std::string_view integer_types = "dboxXc", real_types = "eEfFgG%";
  const auto unknown = [&]() -> std::string {
    throw failure(std::string("Unknown format code '") + form.type + "' for object of type '" +
                  std::string(type_name(value)) + "'");
  };
  const bool plain_boolean = value.is_kind(kind::boolean) && form.type == 0;
  if (value.is_kind(kind::text) || (!value.is_number())) {
    if (form.type != 0 && form.type != 's') return unknown();
    if (!value.is_kind(kind::text))
      throw failure("unsupported format string passed to " + std::string(type_name(value)) + ".__format__");
    if (form.align == '=') throw failure("'=' alignment not allowed in string format specifier");
    if (form.sign != '-' || form.alternate || form.grouped)
      throw failure("Sign, '#' or ',' not allowed in string format specifier");
    const auto& words = value.text();
    return form.precision ? words.substr(0, byte_offset_of_character(words, *form.precision)) : words;
  }
  if (plain_boolean && form.width == 0) return text_of(box, value);
  if (value.is_integral()) {
    if (form.type == 0 || integer_types.find(form.type) != integer_types.npos) {
      if (form.precision) throw failure("Precision not allowed in integer format specifier");
      if (form.type != 'c') return integer_digits(value.integral(), form);
      if (value.integral() < 0 || value.integral() > 0x10FFFF) throw failure("%c arg not in range(0x110000)");
      std::string out;
      append_utf8(out, static_cast<char32_t>(value.integral()));
      return out;
    }
    if (real_types.find(form.type) == real_types.npos) return unknown();
  }
  if (form.type != 0 && real_types.find(form.type) == real_types.npos) return unknown();
  return format_real(value.number(), form);
}

std::string pad_to_width(sandbox& box, std::string text, const format_specification& form, bool number) {
  const auto length = count_utf8_characters(text);
  if (length >= form.width) return text;
  const auto missing = form.width - length;
  box.require_string_fits(text.size() + missing * form.fill.size());
  const auto filled = [&](std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += form.fill;
    return out;
  };
  switch (form.align != 0 ? form.align : number ? '>' : '<') {
    case '<':
      return text + filled(missing);
    case '^':
      return filled(missing / 2) + text + filled(missing - missing / 2);
    case '=': {
      auto digits = text.find_first_not_of("+- ");
      if (text.substr(digits).starts_with("0x") || text.substr(digits).starts_with("0X") ||
          text.substr(digits).starts_with("0b") || text.substr(digits).starts_with("0o"))
        digits += 2;
      return text.substr(0, digits) + filled(missing) + text.substr(digits);
    }
    default:
      return filled(missing) + text;
  }
}

}  // namespace coho::trainer::jinja
