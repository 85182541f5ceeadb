#include <algorithm>
#include <cmath>

#include <coho/error.hpp>

#include "observe/format.hpp"
#include "report/chart.hpp"
#include "report/chart_parts.hpp"

namespace coho::trainer {

using namespace chart_parts;

// Sizes are in the chart's own pixels. The left margin fits the longest label, the height all groups of bars.
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
  range.widen();
  const auto ticks = axis_ticks(range.low, range.high);
  const double step = ticks[1] - ticks[0];

  std::vector<std::string> names;
  for (const auto& series : chart.bars) names.push_back(series.name);
  double used = 0;
  const auto keys = legend(names, key_shape::square, 14, used);
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
    out += svg_line(sx(tick), top, sx(tick), bottom, "grid");
    out += svg_text(sx(tick), bottom + 16, format_tick(tick, step), "class=\"muted\" text-anchor=\"middle\"");
  }
  if (!chart.value_label.empty())
    out += svg_text((left + right) / 2, height - 4, chart.value_label, "class=\"muted\" text-anchor=\"middle\"");
  std::string labels;  // above everything else, so that no line crosses them
  for (std::size_t c = 0; c < chart.categories.size(); ++c) {
    const double begin = top + group * static_cast<double>(c) + group_gap / 2;
    out += svg_text(left - 8, begin + (group - group_gap) / 2 + 3, shorten(chart.categories[c], 34),
                    "class=\"ink\" text-anchor=\"end\"");
    for (std::size_t i = 0; i < chart.bars.size(); ++i) {
      const double value = chart.bars[i].values[c];
      if (!std::isfinite(value)) continue;
      const double y = begin + static_cast<double>(i) * (thickness + gap);
      const double from = std::min(sx(0), sx(value)), to = std::max(sx(0), sx(value));
      const auto label = format_number(value, chart.digits);
      out += "<rect x=\"" + format_pixels(from) + "\" y=\"" + format_pixels(y) + "\" width=\"" +
             format_pixels(std::max(1.0, to - from)) + "\" height=\"" + format_pixels(thickness) +
             "\" rx=\"2\" class=\"fill " + color_class(i) + "\"><title>" +
             escape_html(chart.categories[c] + ", " + chart.bars[i].name + ": " + label) + "</title></rect>\n";
      const bool negative = value < 0;
      labels += svg_text(negative ? from - 4 : to + 4, y + thickness - 3, label,
                         negative ? "class=\"value halo\" text-anchor=\"end\"" : "class=\"value halo\"");
    }
  }
  out += svg_line(sx(0), top, sx(0), bottom, "axis");
  for (const auto& line : chart.references) {
    out += svg_line(sx(line.value), top, sx(line.value), bottom, "reference");
    out += svg_text(sx(line.value), top - 5, line.label, "class=\"muted\" text-anchor=\"middle\"");
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

}  // namespace coho::trainer
