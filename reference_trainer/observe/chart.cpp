#include "observe/chart.hpp"

#include <algorithm>
#include <cmath>
#include <coho/error.hpp>
#include <cstdio>
#include <limits>

#include "observe/table.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

constexpr std::size_t palette_size = 8;
constexpr double width = 640;
constexpr double letter = 7.2;  // mean advance of a character at the 12 px of labels

std::string px(double value) { return format_number(value, 1); }

std::string series_class(std::size_t i) { return "s" + std::to_string(i % palette_size); }

std::string tick_text(double value, double step) {
  if (std::abs(value) < step * 1e-6) return "0";
  if (std::abs(value) >= 1e6 || step < 1e-5) return format_short(value);
  const int digits = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
  return format_number(value, digits);
}

std::string text_at(double x, double y, std::string_view text, std::string_view attributes) {
  return "<text x=\"" + px(x) + "\" y=\"" + px(y) + "\" " + std::string(attributes) + ">" + escape_html(text) +
         "</text>\n";
}

std::string line_at(double x1, double y1, double x2, double y2, std::string_view name) {
  return "<line x1=\"" + px(x1) + "\" y1=\"" + px(y1) + "\" x2=\"" + px(x2) + "\" y2=\"" + px(y2) + "\" class=\"" +
         std::string(name) + "\"/>\n";
}

std::string shorten(const std::string& text, std::size_t limit) {
  if (display_width(text) <= limit) return text;
  std::string out;
  for (std::string_view rest = text; display_width(out) + 1 < limit && !rest.empty();) {
    const auto bytes = std::max<std::size_t>(1, utf8_length(rest));
    out += rest.substr(0, bytes);
    rest.remove_prefix(bytes);
  }
  return out + "…";
}

struct scale {
  double low, high, begin, end;
  double operator()(double value) const { return begin + (value - low) / (high - low) * (end - begin); }
};

struct extent {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void include(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // A range that can be drawn, whatever was included.
  void settle() {
    if (!(low <= high)) low = 0, high = 1;
    const double size = std::max(std::abs(low), std::abs(high));
    if (high - low <= size * 1e-9) {  // no more than rounding: ticks could not tell the ends apart
      const double pad = size == 0 ? 1 : size * 0.1;
      low -= pad, high += pad;
    }
  }
};

// Keys in rows under the title; returns the height used.
std::string legend(const std::vector<std::string>& names, double top, double& height) {
  height = 0;
  if (names.size() < 2) return {};
  std::string out;
  double x = 8, y = top;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto name = shorten(names[i], 40);
    const double room = 26 + static_cast<double>(display_width(name)) * letter;
    if (x > 8 && x + room > width) x = 8, y += 20;
    out += "<rect x=\"" + px(x) + "\" y=\"" + px(y - 9) + "\" width=\"10\" height=\"10\" rx=\"2\" class=\"fill " +
           series_class(i) + "\"/>\n";
    out += text_at(x + 15, y, name, "class=\"ink\"");
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
  return "<svg viewBox=\"0 0 " + px(width) + " " + px(height) + "\" role=\"img\" aria-label=\"" +
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

// At most about 25 rows, evenly spaced, first and last included.
std::string line_numbers(const line_chart& chart) {
  std::vector<double> xs;
  for (const auto& series : chart.lines) {
    for (const auto& point : series.points) xs.push_back(point.first);
  }
  std::ranges::sort(xs);
  xs.erase(std::unique(xs.begin(), xs.end()), xs.end());
  const std::size_t stride = std::max<std::size_t>(1, (xs.size() + 24) / 25);
  std::vector<std::string> heads{chart.x_label.empty() ? "x" : chart.x_label};
  for (const auto& series : chart.lines) heads.push_back(series.name);
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    if (i % stride != 0 && i + 1 != xs.size()) continue;
    auto& row = rows.emplace_back();
    row.push_back(format_short(xs[i]));
    for (const auto& series : chart.lines) {
      const auto found = std::ranges::find(series.points, xs[i], &std::pair<double, double>::first);
      row.push_back(found == series.points.end() ? "" : format_short(found->second));
    }
  }
  return data_table(heads, rows, stride > 1 ? "Every " + std::to_string(stride) + "th step." : "");
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : repair_utf8(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default: {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F) {
          out += "�";
        } else {
          out += c;
        }
      }
    }
  }
  return out;
}

std::vector<double> axis_ticks(double low, double high, int count) {
  const double rough = (high - low) / std::max(1, count);
  const double magnitude = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * magnitude;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * magnitude >= rough * (1 - 1e-9)) {
      step = factor * magnitude;
      break;
    }
  }
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  std::vector<double> ticks;
  for (double k = first; k <= last + 0.5; ++k) ticks.push_back(k * step);
  return ticks;
}

std::string render(const line_chart& chart) {
  require_argument(!chart.lines.empty(), "a line chart needs a series: " + chart.title);
  extent x, y;
  for (const auto& series : chart.lines) {
    for (const auto& [at, value] : series.points) {
      if (std::isfinite(value)) x.include(at), y.include(value);
    }
  }
  for (const auto& line : chart.references) y.include(line.value);
  if (chart.y_min) y.include(*chart.y_min);
  if (chart.y_max) y.include(*chart.y_max);
  x.settle();
  y.settle();
  const auto y_ticks = axis_ticks(y.low, y.high);
  const double y_step = y_ticks[1] - y_ticks[0];
  auto x_ticks = axis_ticks(x.low, x.high, 7);
  const double x_step = x_ticks[1] - x_ticks[0];
  std::erase_if(x_ticks, [&](double tick) { return tick < x.low - x_step * 1e-6 || tick > x.high + x_step * 1e-6; });

  std::vector<std::string> names;
  for (const auto& series : chart.lines) names.push_back(series.name);
  double used = 0;
  const auto keys = legend(names, 14, used);
  std::size_t longest = 1;
  for (const double tick : y_ticks) longest = std::max(longest, display_width(tick_text(tick, y_step)));
  const double left = 14 + (chart.y_label.empty() ? 0 : 18) + static_cast<double>(longest) * letter;
  const double top = used + 12, bottom = top + 220, right = width - 14;
  const double height = bottom + 24 + (chart.x_label.empty() ? 0 : 18);
  const scale sx{x.low, x.high, left, right}, sy{y_ticks.front(), y_ticks.back(), bottom, top};

  auto out = open_figure(chart.title, chart.note);
  out += open_svg(height, chart.title,
                  "Line chart" + (chart.y_label.empty() ? "" : " of " + chart.y_label) +
                      (chart.x_label.empty() ? "" : " over " + chart.x_label));
  out += keys;
  for (const double tick : y_ticks) {
    out += line_at(left, sy(tick), right, sy(tick), "grid");
    out += text_at(left - 6, sy(tick) + 4, tick_text(tick, y_step), "class=\"muted\" text-anchor=\"end\"");
  }
  out += line_at(left, bottom, right, bottom, "axis");
  for (const double tick : x_ticks) {
    out += line_at(sx(tick), bottom, sx(tick), bottom + 4, "axis");
    out += text_at(sx(tick), bottom + 17, tick_text(tick, x_step), "class=\"muted\" text-anchor=\"middle\"");
  }
  if (!chart.x_label.empty())
    out += text_at((left + right) / 2, height - 5, chart.x_label, "class=\"muted\" text-anchor=\"middle\"");
  if (!chart.y_label.empty()) {
    const double middle = (top + bottom) / 2;
    out += text_at(12, middle, chart.y_label,
                   "class=\"muted\" text-anchor=\"middle\" transform=\"rotate(-90 12 " + px(middle) + ")\"");
  }
  for (const auto& line : chart.references) {
    out += line_at(left, sy(line.value), right, sy(line.value), "reference");
    out += text_at(right, sy(line.value) - 5, line.label, "class=\"muted halo\" text-anchor=\"end\"");
  }
  for (std::size_t i = 0; i < chart.lines.size(); ++i) {
    const auto& series = chart.lines[i];
    std::string path;
    bool pen_down = false;
    std::pair<double, double> last{};
    for (const auto& point : series.points) {
      if (!std::isfinite(point.first) || !std::isfinite(point.second)) {
        pen_down = false;
        continue;
      }
      path += (pen_down ? "L" : "M") + px(sx(point.first)) + " " + px(sy(point.second)) + " ";
      pen_down = true;
      last = point;
    }
    if (path.empty()) continue;
    path.pop_back();
    out += "<path d=\"" + path + "\" class=\"stroke " + series_class(i) + "\"><title>" + escape_html(series.name) +
           "</title></path>\n";
    out += "<circle cx=\"" + px(sx(last.first)) + "\" cy=\"" + px(sy(last.second)) + "\" r=\"4\" class=\"dot " +
           series_class(i) + "\"><title>" +
           escape_html(series.name + ": " + format_short(last.second) + " at " + format_short(last.first)) +
           "</title></circle>\n";
  }
  return out + "</svg>\n" + line_numbers(chart) + "</figure>\n";
}

std::string render(const bar_chart& chart) {
  require_argument(!chart.bars.empty() && !chart.categories.empty(),
                   "a bar chart needs a series and a category: " + chart.title);
  extent range;
  range.include(0);
  for (const auto& series : chart.bars) {
    require_argument(series.values.size() == chart.categories.size(),
                     "bar chart " + chart.title + ": series " + series.name + " needs one value for each category");
    for (const double value : series.values) range.include(value);
  }
  for (const auto& line : chart.references) range.include(line.value);
  if (chart.value_min) range.include(*chart.value_min);
  if (chart.value_max) range.include(*chart.value_max);
  range.settle();
  const auto ticks = axis_ticks(range.low, range.high);
  const double step = ticks[1] - ticks[0];

  std::vector<std::string> names;
  for (const auto& series : chart.bars) names.push_back(series.name);
  double used = 0;
  const auto keys = legend(names, 14, used);
  std::size_t longest = 1;
  for (const auto& category : chart.categories) longest = std::max(longest, display_width(shorten(category, 34)));
  const double thickness = chart.bars.size() > 2 ? 11 : 14, gap = 2, group_gap = 12;
  const double group = static_cast<double>(chart.bars.size()) * (thickness + gap) + group_gap;
  const double left = 14 + static_cast<double>(longest) * letter, right = width - 48;
  const double top = used + (chart.references.empty() ? 6 : 20),
               bottom = top + group * static_cast<double>(chart.categories.size());
  const double height = bottom + 22 + (chart.value_label.empty() ? 0 : 18);
  const scale sx{ticks.front(), ticks.back(), left, right};

  auto out = open_figure(chart.title, chart.note);
  out += open_svg(height, chart.title, "Bar chart" + (chart.value_label.empty() ? "" : " of " + chart.value_label));
  out += keys;
  for (const double tick : ticks) {
    out += line_at(sx(tick), top, sx(tick), bottom, "grid");
    out += text_at(sx(tick), bottom + 16, tick_text(tick, step), "class=\"muted\" text-anchor=\"middle\"");
  }
  if (!chart.value_label.empty())
    out += text_at((left + right) / 2, height - 4, chart.value_label, "class=\"muted\" text-anchor=\"middle\"");
  std::string labels;  // above everything else, so that no line strikes through them
  for (std::size_t c = 0; c < chart.categories.size(); ++c) {
    const double begin = top + group * static_cast<double>(c) + group_gap / 2;
    out += text_at(left - 8, begin + (group - group_gap) / 2 + 3, shorten(chart.categories[c], 34),
                   "class=\"ink\" text-anchor=\"end\"");
    for (std::size_t i = 0; i < chart.bars.size(); ++i) {
      const double value = chart.bars[i].values[c];
      if (!std::isfinite(value)) continue;
      const double y = begin + static_cast<double>(i) * (thickness + gap);
      const double from = std::min(sx(0), sx(value)), to = std::max(sx(0), sx(value));
      const auto label = format_number(value, chart.digits);
      out += "<rect x=\"" + px(from) + "\" y=\"" + px(y) + "\" width=\"" + px(std::max(1.0, to - from)) +
             "\" height=\"" + px(thickness) + "\" rx=\"2\" class=\"fill " + series_class(i) + "\"><title>" +
             escape_html(chart.categories[c] + ", " + chart.bars[i].name + ": " + label) + "</title></rect>\n";
      const bool negative = value < 0;
      labels += text_at(negative ? from - 4 : to + 4, y + thickness - 3, label,
                        negative ? "class=\"value halo\" text-anchor=\"end\"" : "class=\"value halo\"");
    }
  }
  out += line_at(sx(0), top, sx(0), bottom, "axis");
  for (const auto& line : chart.references) {
    out += line_at(sx(line.value), top, sx(line.value), bottom, "reference");
    out += text_at(sx(line.value), top - 5, line.label, "class=\"muted\" text-anchor=\"middle\"");
  }
  out += labels + "</svg>\n";

  std::vector<std::string> heads{""};
  heads.insert(heads.end(), names.begin(), names.end());
  std::vector<std::vector<std::string>> rows;
  for (std::size_t c = 0; c < chart.categories.size(); ++c) {
    auto& row = rows.emplace_back();
    row.push_back(chart.categories[c]);
    for (const auto& series : chart.bars) row.push_back(format_number(series.values[c], chart.digits + 1));
  }
  return out + data_table(heads, rows, "") + "</figure>\n";
}

std::string_view chart_style() {
  return R"(.chart { --s0:#2a78d6; --s1:#d9541e; --s2:#16865f; --s3:#b27a00; --s4:#6a55c9; --s5:#d03b3b; --s6:#c2508a; --s7:#4d6a7d;
  --ink:#1d1d1b; --muted:#5f5e58; --grid:#e6e5e0; --axis:#a8a79f; --surface:#fff; margin:0; }
@media (prefers-color-scheme: dark) { .chart { --s0:#5b9df0; --s1:#f07b48; --s2:#35b487; --s3:#dca12a; --s4:#a394f0; --s5:#ee7070;
  --s6:#e583b3; --s7:#93b0c3; --ink:#f1f0ec; --muted:#b3b2aa; --grid:#34343a; --axis:#6c6c73; --surface:#1d1e22; } }
.chart figcaption { margin:0 0 .4rem; } .chart figcaption strong { display:block; font-weight:600; }
.chart figcaption span { display:block; color:var(--muted); font-size:.875rem; }
.chart svg { display:block; width:100%; height:auto; font:12px system-ui, sans-serif; }
.chart .ink { fill:var(--ink); } .chart .muted { fill:var(--muted); } .chart .value { fill:var(--ink); font-size:11px; }
.chart .halo { paint-order:stroke; stroke:var(--surface); stroke-width:3px; stroke-linejoin:round; }
.chart .grid { stroke:var(--grid); } .chart .axis { stroke:var(--axis); } .chart .reference { stroke:var(--muted); stroke-dasharray:5 4; }
.chart .stroke { fill:none; stroke:var(--c); stroke-width:2; stroke-linejoin:round; stroke-linecap:round; }
.chart .dot { fill:var(--c); stroke:var(--surface); stroke-width:2; } .chart .fill { fill:var(--c); }
.chart .s0 { --c:var(--s0); } .chart .s1 { --c:var(--s1); } .chart .s2 { --c:var(--s2); } .chart .s3 { --c:var(--s3); }
.chart .s4 { --c:var(--s4); } .chart .s5 { --c:var(--s5); } .chart .s6 { --c:var(--s6); } .chart .s7 { --c:var(--s7); }
)";
}

}  // namespace coho::trainer
