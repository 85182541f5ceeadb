#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coho::trainer {

/// A level to compare with: drawn as a dashed line with its name.
struct reference_line {
  double value = 0;
  std::string label;
};

/// Curves over a common axis, distinguished by colour and line style. Points that are not finite leave a gap. The
/// figure's size is bounded for any number of points: for intervals of a long curve the lowest and highest values are
/// drawn.
struct line_chart {
  struct series {
    std::string name;
    std::vector<std::pair<double, double>> points;
    /// If `points` are an average: the values themselves, drawn faintly in the background and listed in the table of
    /// numbers.
    std::vector<std::pair<double, double>> raw{};
  };
  std::string title;
  std::string note{};  ///< one sentence under the title
  std::string x_label{}, y_label{};
  std::vector<series> lines{};
  std::optional<double> y_min{}, y_max{};  ///< the axis extends at least to these
  std::vector<reference_line> references{};
};

/// Horizontal bars, one group per category with one bar per series.
struct bar_chart {
  struct series {
    std::string name;
    std::vector<double> values;  ///< one per category; not finite: no bar
  };
  std::string title;
  std::string note{};
  std::string value_label{};
  std::vector<std::string> categories{};
  std::vector<series> bars{};
  std::optional<double> value_min{}, value_max{};
  int digits = 2;  ///< digits after the decimal point, in the labels of the bars
  std::vector<reference_line> references{};
};

/// A `<figure>`: inline SVG with title, axes, ticks and legend, and the numbers as a folded table. Colours are CSS
/// classes of `chart_style`. Throws `argument_error` if a chart has no series or a series has the wrong length.
std::string render(const line_chart& chart);
/// The same for bars, whose labels give the numbers.
std::string render(const bar_chart& chart);

/// The style sheet that the figures need: light and dark.
std::string_view chart_style();

/// Text for HTML and SVG: the five special characters escaped, control characters and broken UTF-8 replaced.
std::string escape_html(std::string_view text);

/// Round numbers that divide [low, high] into about `count` steps; the first is at most low, the last at least high.
std::vector<double> axis_ticks(double low, double high, int count = 5);

}  // namespace coho::trainer
