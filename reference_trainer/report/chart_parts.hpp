#pragma once

// The parts that line charts and bar charts share. Only for those two.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer::chart_parts {

inline constexpr double width = 640;   ///< of every chart, in its own pixels
inline constexpr double letter = 7.2;  ///< mean advance of a character at the 12 px of labels

/// A coordinate with one digit after the point.
std::string format_pixels(double value);
/// The class of series i's colour; eight colours repeat.
std::string color_class(std::size_t i);
/// The classes of colour and line style of series i: 32 series differ in one of them, neighbours in both.
std::string line_class(std::size_t i);
/// A tick's label, with as many digits as ticks `step` apart need.
std::string format_tick(double value, double step);
/// A `<text>` element; the text is escaped, the attributes are not.
std::string svg_text(double x, double y, std::string_view text, std::string_view attributes);
/// A `<line>` element of a class of chart_style.
std::string svg_line(double x1, double y1, double x2, double y2, std::string_view css_class);
/// At most `limit` columns, the last of them "…" if something was cut off.
std::string shorten(const std::string& text, std::size_t limit);

/// Maps [low, high] linearly to the coordinates [begin, end].
struct scale {
  double low, high, begin, end;
  double operator()(double value) const { return begin + (value - low) / (high - low) * (end - begin); }
};

/// The range of the values that an axis shows.
struct extent {
  extent();
  double low, high;
  /// Extends the range to a value; values that are not finite are ignored.
  void include(double value);
  /// Makes the range drawable, whatever was included: [0, 1] if nothing was, and no narrower than rounding.
  void widen();
};

/// What a legend draws before a name.
enum class key_shape { square, line };

/// SVG elements of the legend: a key and a name per series, in rows that wrap at the chart's width, names cut at 60
/// columns; empty for a single series. `top`: baseline of the first row in px; `height` returns the px that all rows
/// take.
std::string legend(const std::vector<std::string>& names, key_shape shape, double top, double& height);

/// The beginning of a `<figure>` with its caption; `note` may be empty.
std::string open_figure(const std::string& title, const std::string& note);
/// The beginning of the `<svg>`, `width` by `height`; title and description are its label for screen readers.
std::string open_svg(double height, const std::string& title, const std::string& description);
/// The numbers of a chart as a folded table; `note`, which may be empty, comes below it as it is.
std::string data_table(const std::vector<std::string>& heads, const std::vector<std::vector<std::string>>& rows,
                       std::string_view note);

}  // namespace coho::trainer::chart_parts
