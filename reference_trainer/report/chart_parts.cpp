#include "report/chart_parts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "observe/format.hpp"
#include "report/chart.hpp"

namespace coho::trainer::chart_parts {

namespace {
constexpr std::size_t palette_size = 8, line_styles = 4;
}

std::string format_pixels(double value) { return format_number(value, 1); }

std::string color_class(std::size_t i) { return "s" + std::to_string(i % palette_size); }

std::string line_class(std::size_t i) {
  return color_class(i) + " d" + std::to_string((i + i / palette_size) % line_styles);
}

std::string format_tick(double value, double step) {
  if (std::abs(value) < step * 1e-6) return "0";
  if (std::abs(value) >= 1e6 || step < 1e-5) return format_short(value);
  const int digits = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
  return format_number(value, digits);
}

std::string svg_text(double x, double y, std::string_view text, std::string_view attributes) {
  return "<text x=\"" + format_pixels(x) + "\" y=\"" + format_pixels(y) + "\" " + std::string(attributes) + ">" +
         escape_html(text) + "</text>\n";
}

std::string svg_line(double x1, double y1, double x2, double y2, std::string_view css_class) {
  return "<line x1=\"" + format_pixels(x1) + "\" y1=\"" + format_pixels(y1) + "\" x2=\"" + format_pixels(x2) +
         "\" y2=\"" + format_pixels(y2) + "\" class=\"" + std::string(css_class) + "\"/>\n";
}

std::string shorten(const std::string& text, std::size_t limit) {
  if (display_width(text) <= limit) return text;
  return std::string(first_columns(text, limit - 1)) + "…";
}

extent::extent() : low(std::numeric_limits<double>::infinity()), high(-low) {}

void extent::include(double value) {
  if (!std::isfinite(value)) return;
  low = std::min(low, value);
  high = std::max(high, value);
}

void extent::widen() {
  if (!(low <= high)) low = 0, high = 1;
  const double size = std::max(std::abs(low), std::abs(high));
  if (high - low <= size * 1e-9) {  // only rounding: ticks could not distinguish the ends
    const double pad = size == 0 ? 1 : size * 0.1;
    low -= pad, high += pad;
  }
}

std::string legend(const std::vector<std::string>& names, key_shape shape, double top, double& height) {
  height = 0;
  if (names.size() < 2) return {};
  const double key = shape == key_shape::line ? 26 : 10;
  std::string out;
  double x = 8, y = top;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto name = shorten(names[i], 60);
    const double room = key + 18 + static_cast<double>(display_width(name)) * letter;
    if (x > 8 && x + room > width) x = 8, y += 20;
    out += shape == key_shape::line
               ? svg_line(x, y - 4, x + key, y - 4, "stroke " + line_class(i))
               : "<rect x=\"" + format_pixels(x) + "\" y=\"" + format_pixels(y - 9) +
                     "\" width=\"10\" height=\"10\" rx=\"2\" class=\"fill " + color_class(i) + "\"/>\n";
    out += svg_text(x + key + 6, y, name, "class=\"ink\"");
    x += room;
  }
  height = y - top + 24;
  return out;
}

std::string open_figure(const std::string& title, const std::string& note) {
  std::string out = "<figure class=\"chart\">\n<figcaption><strong>" + escape_html(title) + "</strong>";
  if (!note.empty()) out += "<span>" + escape_html(note) + "</span>";
  return out + "</figcaption>\n";
}

std::string open_svg(double height, const std::string& title, const std::string& description) {
  return "<svg viewBox=\"0 0 " + format_pixels(width) + " " + format_pixels(height) + "\" role=\"img\" aria-label=\"" +
         escape_html(title + ". " + description) + "\">\n";
}

std::string data_table(const std::vector<std::string>& heads, const std::vector<std::vector<std::string>>& rows,
                       std::string_view note) {
  std::string out = "<details><summary>Numbers</summary>\n<div class=\"scroll\"><table>\n<thead><tr>";
  for (const auto& head : heads) out += "<th scope=\"col\">" + escape_html(head) + "</th>";
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : rows) {
    out += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += i == 0 ? "<th scope=\"row\">" + escape_html(row[i]) + "</th>" : "<td>" + escape_html(row[i]) + "</td>";
    }
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  if (!note.empty()) out += "<p>" + std::string(note) + "</p>\n";
  return out + "</details>\n";
}

}  // namespace coho::trainer::chart_parts
