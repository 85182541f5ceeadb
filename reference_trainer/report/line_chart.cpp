#include <algorithm>
#include <cmath>
#include <map>

#include <coho/error.hpp>

#include "observe/format.hpp"
#include "report/chart.hpp"
#include "report/chart_parts.hpp"
#include "report/curves.hpp"

namespace coho::trainer {

using namespace chart_parts;

namespace {

constexpr std::size_t drawn_points = 1600;  // per curve: two to four for each pixel of the chart
constexpr std::size_t table_rows = 25;

// The values that were logged, whether or not they are drawn as an average.
const curve_points& raw_points(const line_chart::series& series) {
  return series.raw.empty() ? series.points : series.raw;
}

// The table of numbers: about 25 rows, evenly spaced, first and last included.
std::string line_table(const line_chart& chart) {
  std::vector<double> xs;
  for (const auto& series : chart.lines) {
    for (const auto& point : raw_points(series)) xs.push_back(point.first);
  }
  std::ranges::sort(xs);
  xs.erase(std::unique(xs.begin(), xs.end()), xs.end());
  const std::size_t stride = std::max<std::size_t>(1, (xs.size() + table_rows - 1) / table_rows);
  std::vector<std::string> heads{chart.x_label.empty() ? "x" : chart.x_label};
  std::map<double, std::size_t> row_of;
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    if (i % stride != 0 && i + 1 != xs.size()) continue;
    row_of[xs[i]] = rows.size();
    rows.push_back({format_short(xs[i])});
    rows.back().resize(chart.lines.size() + 1);
  }
  for (std::size_t s = 0; s < chart.lines.size(); ++s) {
    heads.push_back(chart.lines[s].name);
    for (const auto& [x, y] : raw_points(chart.lines[s])) {
      if (const auto found = row_of.find(x); found != row_of.end()) rows[found->second][s + 1] = format_short(y);
    }
  }
  return data_table(heads, rows, stride > 1 ? "Every " + std::to_string(stride) + "th step." : "");
}

// The data of an SVG path, and the last point that is drawn.
struct drawn_line {
  std::string path{};
  std::pair<double, double> last{};
};

// The path of a curve in SVG coordinates; a gap in the numbers begins a new subpath.
drawn_line line_path(const curve_points& points, const scale& sx, const scale& sy) {
  drawn_line out;
  bool pen_down = false;
  for (const auto& point : decimate(points, drawn_points)) {
    if (!std::isfinite(point.first) || !std::isfinite(point.second)) {
      pen_down = false;
      continue;
    }
    out.path += (pen_down ? "L" : "M") + format_pixels(sx(point.first)) + " " + format_pixels(sy(point.second)) + " ";
    pen_down = true;
    out.last = point;
  }
  if (!out.path.empty()) out.path.pop_back();
  return out;
}

// A curve with a dot at its end; nothing if no point is finite.
std::string draw_series(const line_chart::series& series, std::size_t i, const scale& sx, const scale& sy) {
  std::string out;
  const auto line = line_path(series.points, sx, sy);
  if (line.path.empty()) return out;
  out += "<path d=\"" + line.path + "\" class=\"stroke " + line_class(i) + "\"><title>" + escape_html(series.name) +
         "</title></path>\n";
  out += "<circle cx=\"" + format_pixels(sx(line.last.first)) + "\" cy=\"" + format_pixels(sy(line.last.second)) +
         "\" r=\"4\" class=\"dot " + color_class(i) + "\"><title>" +
         escape_html(series.name + ": " + format_short(line.last.second) + " at " + format_short(line.last.first)) +
         "</title></circle>\n";
  return out;
}

}  // namespace

std::string render(const line_chart& chart) {
  require_argument(!chart.lines.empty(), "a line chart needs a series: " + chart.title);
  extent x, y;
  for (const auto& series : chart.lines) {
    for (const auto* points : {&series.points, &series.raw}) {
      for (const auto& [at, value] : *points) {
        if (std::isfinite(value)) x.include(at), y.include(value);
      }
    }
  }
  for (const auto& line : chart.references) y.include(line.value);
  if (chart.y_min) y.include(*chart.y_min);
  if (chart.y_max) y.include(*chart.y_max);
  x.widen();
  y.widen();
  const auto y_ticks = axis_ticks(y.low, y.high);
  const double y_step = y_ticks[1] - y_ticks[0];
  auto x_ticks = axis_ticks(x.low, x.high, 7);
  const double x_step = x_ticks[1] - x_ticks[0];
  std::erase_if(x_ticks, [&](double tick) { return tick < x.low - x_step * 1e-6 || tick > x.high + x_step * 1e-6; });

  std::vector<std::string> names;
  for (const auto& series : chart.lines) names.push_back(series.name);
  double used = 0;
  const auto keys = legend(names, key_shape::line, 14, used);
  std::size_t longest = 1;
  for (const double tick : y_ticks) longest = std::max(longest, display_width(format_tick(tick, y_step)));
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
    out += svg_line(left, sy(tick), right, sy(tick), "grid");
    out += svg_text(left - 6, sy(tick) + 4, format_tick(tick, y_step), "class=\"muted\" text-anchor=\"end\"");
  }
  out += svg_line(left, bottom, right, bottom, "axis");
  for (const double tick : x_ticks) {
    out += svg_line(sx(tick), bottom, sx(tick), bottom + 4, "axis");
    const auto text = format_tick(tick, x_step);
    // At the right edge the label is right-aligned instead of being cut off.
    const bool over = sx(tick) + static_cast<double>(display_width(text)) * letter / 2 > width;
    out += svg_text(over ? width - 2 : sx(tick), bottom + 17, text,
                    over ? "class=\"muted\" text-anchor=\"end\"" : "class=\"muted\" text-anchor=\"middle\"");
  }
  if (!chart.x_label.empty())
    out += svg_text((left + right) / 2, height - 5, chart.x_label, "class=\"muted\" text-anchor=\"middle\"");
  if (!chart.y_label.empty()) {
    const double middle = (top + bottom) / 2;
    out +=
        svg_text(12, middle, chart.y_label,
                 "class=\"muted\" text-anchor=\"middle\" transform=\"rotate(-90 12 " + format_pixels(middle) + ")\"");
  }
  for (const auto& line : chart.references) {
    out += svg_line(left, sy(line.value), right, sy(line.value), "reference");
    out += svg_text(right, sy(line.value) - 5, line.label, "class=\"muted halo\" text-anchor=\"end\"");
  }
  // The background is drawn first: no run's raw values may hide another's average.
  for (std::size_t i = 0; i < chart.lines.size(); ++i) {
    const auto background = line_path(chart.lines[i].raw, sx, sy);
    if (!background.path.empty())
      out += "<path d=\"" + background.path + "\" class=\"stroke raw " + (chart.lines.size() > 2 ? "crowded " : "") +
             color_class(i) + "\"/>\n";
  }
  for (std::size_t i = 0; i < chart.lines.size(); ++i) out += draw_series(chart.lines[i], i, sx, sy);
  return out + "</svg>\n" + line_table(chart) + "</figure>\n";
}

}  // namespace coho::trainer
