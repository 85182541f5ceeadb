#pragma once

// What line charts and bar charts are drawn with. For those two alone.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer::chart_parts {

inline constexpr double width = 640;   ///< of every chart, in its own pixels
inline constexpr double letter = 7.2;  ///< mean advance of a character at the 12 px of labels

std::string px(double value);
/// The colour of series i.
std::string series_class(std::size_t i);
/// Colour and line style of series i: 32 series differ in one of them, neighbours in both.
std::string line_class(std::size_t i);
/// With as many digits as ticks `step` apart need.
std::string tick_text(double value, double step);
std::string text_at(double x, double y, std::string_view text, std::string_view attributes);
std::string line_at(double x1, double y1, double x2, double y2, std::string_view name);
/// At most `limit` columns, the last of them "…" where something was cut off.
std::string shorten(const std::string& text, std::size_t limit);

struct scale {
  double low, high, begin, end;
  double operator()(double value) const { return begin + (value - low) / (high - low) * (end - begin); }
};

struct extent {
  extent();
  double low, high;
  void include(double value);
  /// A range that can be drawn, whatever was included.
  void settle();
};

enum class key_shape { square, line };

/// Keys in rows under the title, none for a single series; `height`: what they take.
std::string legend(const std::vector<std::string>& names, key_shape shape, double top, double& height);

std::string open_figure(const std::string& title, const std::string& note);
std::string open_svg(double height, const std::string& title, const std::string& description);
/// The numbers of a chart, folded.
std::string data_table(const std::vector<std::string>& heads, const std::vector<std::vector<std::string>>& rows,
                       std::string_view note);

}  // namespace coho::trainer::chart_parts
