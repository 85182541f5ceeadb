#include "observe/format.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <locale.h>
#include <wchar.h>

#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

struct displayed_character {
  std::size_t bytes, columns;
};

// From Unicode's tables in the C library, queried in a separate locale, because the program leaves the locale of its
// environment alone.
std::size_t count_columns(char32_t code) {
  static const ::locale_t unicode = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (unicode == nullptr) return 1;
  const ::locale_t before = ::uselocale(unicode);
  const int columns = ::wcwidth(static_cast<wchar_t>(code));
  ::uselocale(before);
  // Characters that the tables do not know are drawn as one box; control characters after ASCII are not drawn.
  return columns >= 0 ? static_cast<std::size_t>(columns) : code < 0xA0 ? 0 : 1;
}

// The bytes and terminal columns of the first character; an invalid byte takes one column, as U+FFFD does.
displayed_character measure_first(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const auto bytes = std::max<std::size_t>(1, utf8_length(text));
  if (bytes == 1) return {1, lead >= 0x20 && lead != 0x7F};
  return {bytes, count_columns(utf8_code_point(text))};
}

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const auto next = measure_first(text);
    columns += next.columns;
    text.remove_prefix(next.bytes);
  }
  return columns;
}

std::vector<std::string> wrap_text(std::string_view text, std::size_t columns) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (word.empty()) continue;
    if (out.empty() || display_width(out.back()) + 1 + display_width(word) > columns) {
      out.emplace_back(word);
    } else {
      out.back().append(" ").append(word);
    }
  }
  return out;
}

std::string_view first_columns(std::string_view text, std::size_t columns) {
  std::size_t end = 0;
  while (end < text.size()) {
    const auto next = measure_first(text.substr(end));
    if (next.columns > columns) break;
    columns -= next.columns;
    end += next.bytes;
  }
  return text.substr(0, end);
}

std::string format_number(double value, int digits) {
  if (!std::isfinite(value)) return "–";
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  const std::string text = buffer;
  // "-0.00" is a rounded zero.
  return text.starts_with('-') && text.find_first_of("123456789") == std::string::npos ? text.substr(1) : text;
}

std::string format_short(double value) {
  if (!std::isfinite(value)) return "–";
  const double size = std::abs(value);
  char buffer[64];
  if (size == 0) return "0";
  if (size >= 1e6 || size < 1e-4) {
    std::snprintf(buffer, sizeof buffer, "%.2g", value);
  } else {
    const int digits = std::max(0, 2 - static_cast<int>(std::floor(std::log10(size))));
    std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
    if (std::string_view(buffer).find('.') != std::string_view::npos) {
      std::string text = buffer;
      text.resize(text.find_last_not_of('0') + 1);
      if (text.ends_with('.')) text.pop_back();
      return text;
    }
  }
  return buffer;
}

std::string format_bytes(double bytes) {
  static constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < units.size()) bytes /= 1024, ++unit;
  return format_number(bytes, unit == 0 ? 0 : 1) + " " + units[unit];
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  char buffer[64];
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (seconds < 9.95) {
    std::snprintf(buffer, sizeof buffer, "%.1f s", seconds);
  } else if (whole < 60) {
    std::snprintf(buffer, sizeof buffer, "%lld s", whole);
  } else if (whole < 3600) {
    std::snprintf(buffer, sizeof buffer, "%lld m %02lld s", whole / 60, whole % 60);
  } else {
    std::snprintf(buffer, sizeof buffer, "%lld h %02lld m", whole / 3600, whole % 3600 / 60);
  }
  return buffer;
}

}  // namespace coho::trainer
