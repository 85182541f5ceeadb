#include "report/curves.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <coho/error.hpp>

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("a moving average starts at the first value and forgets by its weight") {
  const curve_points points{{0, 1}, {1, 3}, {2, -1}};
  const auto out = smooth(points, 0.5);
  // m: 0.5, 1.75, 0.375; shares 0.5, 0.75, 0.875.
  CHECK(out[0].second == Approx(1));
  CHECK(out[1].second == Approx(1.75 / 0.75));
  CHECK(out[2].second == Approx(0.375 / 0.875));
  CHECK(smooth(points, 0) == points);
  CHECK_THROWS_AS(smooth(points, 1.0), coho::option_error);
  CHECK_THROWS_AS(smooth(points, -0.1), coho::option_error);
}

TEST_CASE("a constant stays constant under the average, and gaps stay gaps") {
  const double gap = std::numeric_limits<double>::quiet_NaN();
  const auto out = smooth({{0, 2}, {1, gap}, {2, 2}, {3, 2}}, 0.9);
  CHECK(out[0].second == Approx(2));
  CHECK(std::isnan(out[1].second));
  CHECK(out[3].second == Approx(2));
}

TEST_CASE("thinning bounds the points and keeps every extreme and both ends") {
  curve_points points;
  for (int i = 0; i < 100000; ++i) points.emplace_back(i, std::sin(i * 0.001));
  points[31234].second = 50;  // spikes of one step
  points[77777].second = -50;
  points[500].second = std::numeric_limits<double>::quiet_NaN();
  const auto out = decimate(points, 400);
  CHECK(out.size() <= 400);
  CHECK(out.size() >= 200);
  CHECK(out.front() == points.front());
  CHECK(out.back() == points.back());
  CHECK(std::ranges::find(out, points[31234]) != out.end());
  CHECK(std::ranges::find(out, points[77777]) != out.end());
  CHECK(std::ranges::any_of(out, [](const auto& point) { return std::isnan(point.second); }));
  CHECK(std::ranges::is_sorted(out, {}, &std::pair<double, double>::first));
}

TEST_CASE("a short curve is not thinned, and one that is all gaps stays one") {
  const curve_points few{{0, 1}, {5, 2}};
  CHECK(decimate(few, 8) == few);
  const curve_points none(1000, {0, std::numeric_limits<double>::quiet_NaN()});
  CHECK(decimate(none, 8).size() <= 8);
  CHECK_THROWS_AS(decimate(few, 7), coho::option_error);
}
