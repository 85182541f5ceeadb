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

const curve_points& measured(const line_chart::series& series) {
  return series.raw.empty() ? series.points : series.raw;
}

// At most about 25 rows, evenly spaced, first and last included.
std::string line_numbers(const line_chart& chart) {
  std::vector<double> xs;
  for (const auto& series : chart.lines) {
    for (const auto& point : measured(series)) xs.push_back(point.first);
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
    for (const auto& [x, y] : measured(chart.lines[s])) {
      if (const auto found = row_of.find(x); found != row_of.end()) rows[found->second][s + 1] = format_short(y);
    }
  }
  return data_table(heads, rows, stride > 1 ? "Every " + std::to_string(stride) + "th step." : "");
}

struct drawn_line {
  std::string path{};
  std::pair<double, double> last{};
};

drawn_line draw(const curve_points& points, const scale& sx, const scale& sy) {
  drawn_line out;
  bool pen_down = false;
  for (const auto& point : thin(points, drawn_points)) {
    if (!std::isfinite(point.first) || !std::isfinite(point.second)) {
      pen_down = false;
      continue;
    }
    out.path += (pen_down ? "L" : "M") + px(sx(point.first)) + " " + px(sy(point.second)) + " ";
    pen_down = true;
    out.last = point;
  }
  if (!out.path.empty()) out.path.pop_back();
  return out;
}

std::string draw(const line_chart::series& series, std::size_t i, const scale& sx, const scale& sy) {
  std::string out;
  const auto line = draw(series.points, sx, sy);
  if (line.path.empty()) return out;
  out += "<path d=\"" + line.path + "\" class=\"stroke " + line_class(i) + "\"><title>" + escape_html(series.name) +
         "</title></path>\n";
  out += "<circle cx=\"" + px(sx(line.last.first)) + "\" cy=\"" + px(sy(line.last.second)) + "\" r=\"4\" class=\"dot " +
         series_class(i) + "\"><title>" +
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
  const auto keys = legend(names, key_shape::line, 14, used);
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
    const auto text = tick_text(tick, x_step);
    // At the right edge the label is right-aligned instead of being cut off.
    const bool over = sx(tick) + static_cast<double>(display_width(text)) * letter / 2 > width;
    out += text_at(over ? width - 2 : sx(tick), bottom + 17, text,
                   over ? "class=\"muted\" text-anchor=\"end\"" : "class=\"muted\" text-anchor=\"middle\"");
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
  // The background is drawn first: no run's raw values may hide another's average.
  for (std::size_t i = 0; i < chart.lines.size(); ++i) {
    const auto behind = draw(chart.lines[i].raw, sx, sy);
    if (!behind.path.empty())
      out += "<path d=\"" + behind.path + "\" class=\"stroke raw " + (chart.lines.size() > 2 ? "crowded " : "") +
             series_class(i) + "\"/>\n";
  }
  for (std::size_t i = 0; i < chart.lines.size(); ++i) out += draw(chart.lines[i], i, sx, sy);
  return out + "</svg>\n" + line_numbers(chart) + "</figure>\n";
}

}  // namespace coho::trainer
