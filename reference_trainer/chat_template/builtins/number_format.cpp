#include "chat_template/builtins/number_format.hpp"

#include <cmath>
#include <cstdio>

#include "chat_template/values/operators.hpp"
#include "chat_template/values/python_text.hpp"
#include "chat_template/values/value_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

namespace {

constexpr std::size_t most_digits = 1000;

std::size_t read_number(std::string_view& text) {
  std::size_t out = 0;
  while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
    out = out * 10 + static_cast<std::size_t>(text[0] - '0');
    if (out > 10'000'000) throw failure("Too many decimal digits in format string");
    text.remove_prefix(1);
  }
  return out;
}

std::string in_base(std::uint64_t magnitude, unsigned base, bool capitals) {
  const std::string_view digits = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  do {
    out.insert(out.begin(), digits[magnitude % base]);
    magnitude /= base;
  } while (magnitude > 0);
  return out;
}

std::string grouped(std::string digits) {
  auto end = digits.find_first_not_of("0123456789");
  if (end == digits.npos) end = digits.size();
  for (std::size_t at = end; at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string sign_of(bool negative, char sign) { return negative ? "-" : sign == '-' ? "" : std::string(1, sign); }

std::string integer_digits(std::int64_t number, const format_specification& form) {
  const auto magnitude = number < 0 ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
  std::string digits, prefix;
  switch (form.type) {
    case 'b':
      digits = in_base(magnitude, 2, false), prefix = "0b";
      break;
    case 'o':
      digits = in_base(magnitude, 8, false), prefix = "0o";
      break;
    case 'x':
    case 'X':
      digits = in_base(magnitude, 16, form.type == 'X'), prefix = form.type == 'X' ? "0X" : "0x";
      break;
    default:
      digits = std::to_string(magnitude);
      if (form.grouped) digits = grouped(std::move(digits));
  }
  return sign_of(number < 0, form.sign) + (form.alternate ? prefix : "") + digits;
}

std::string real_form(double x, const format_specification& form) {
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
  if (form.grouped) digits = grouped(std::move(digits));
  return sign_of(negative, form.sign) + digits;
}

}  // namespace

std::string real_digits(double x, char type, std::size_t precision, bool alternate) {
  const bool capitals = type == 'E' || type == 'F' || type == 'G';
  if (!std::isfinite(x)) {
    const std::string out = std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf";
    return capitals ? upper(out) : out;
  }
  if (precision > most_digits) throw failure("a precision of more than 1000 digits is not supported");
  const std::string format = std::string("%") + (alternate ? "#" : "") + ".*" + type;
  char buffer[most_digits + 400];
  const int size = std::snprintf(buffer, sizeof buffer, format.c_str(), static_cast<int>(precision), x);
  return {buffer, static_cast<std::size_t>(size)};
}

format_specification read_specification(std::string_view text) {
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
  out.width = read_number(text);
  out.grouped = take(',');
  if (take('.')) {
    if (text.empty() || text[0] < '0' || text[0] > '9') throw failure("Format specifier missing precision");
    out.precision = read_number(text);
  }
  if (!text.empty()) {
    out.type = text[0];
    text.remove_prefix(1);
  }
  if (!text.empty()) throw failure("Invalid format specifier");
  return out;
}

std::string formatted(sandbox& box, const value& value, const format_specification& form) {
  constexpr std::string_view integer_types = "dboxXc", real_types = "eEfFgG%";
  const auto unknown = [&]() -> std::string {
    throw failure(std::string("Unknown format code '") + form.type + "' for object of type '" +
                  std::string(type_name(value)) + "'");
  };
  const bool plain_boolean = value.is(kind::boolean) && form.type == 0;
  if (value.is(kind::text) || (!value.is_number())) {
    if (form.type != 0 && form.type != 's') return unknown();
    if (!value.is(kind::text))
      throw failure("unsupported format string passed to " + std::string(type_name(value)) + ".__format__");
    if (form.align == '=') throw failure("'=' alignment not allowed in string format specifier");
    if (form.sign != '-' || form.alternate || form.grouped)
      throw failure("Sign, '#' or ',' not allowed in string format specifier");
    const auto& words = value.text();
    return form.precision ? words.substr(0, byte_of_character(words, *form.precision)) : words;
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
  return real_form(value.number(), form);
}

std::string padded(sandbox& box, std::string text, const format_specification& form, bool number) {
  const auto length = count_utf8_characters(text);
  if (length >= form.width) return text;
  const auto missing = form.width - length;
  box.require_string(text.size() + missing * form.fill.size());
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
