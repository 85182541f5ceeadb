#include "report/curves.hpp"

#include <algorithm>
#include <cmath>

#include <coho/error.hpp>

namespace coho::trainer {

namespace {

// Other points leave a gap in the curve.
bool is_finite(const std::pair<double, double>& point) {
  return std::isfinite(point.first) && std::isfinite(point.second);
}
}  // namespace

curve_points smooth(const curve_points& points, double weight) {
  require_option(weight >= 0 && weight < 1, "smooth", weight, "at least 0 and below 1");
  curve_points out = points;
  double average = 0, weights = 0;  // weights: 1 − w^n
  for (auto& [x, y] : out) {
    if (!std::isfinite(y)) continue;
    average = weight * average + (1 - weight) * y;
    weights = weight * weights + (1 - weight);
    y = average / weights;
  }
  return out;
}

curve_points decimate(const curve_points& points, std::size_t limit) {
  require_option(limit >= 8, "limit", limit, "at least 8");
  if (points.size() <= limit) return points;
  const std::size_t stretches = limit / 4, last = points.size() - 1;
  std::vector<std::size_t> kept;
  for (std::size_t s = 0; s < stretches; ++s) {
    const std::size_t begin = points.size() * s / stretches, end = points.size() * (s + 1) / stretches;
    std::size_t low = end, high = end, gap = end;
    for (std::size_t i = begin; i < end; ++i) {
      if (!is_finite(points[i])) {
        gap = i;
      } else {
        if (low == end || points[i].second < points[low].second) low = i;
        if (high == end || points[i].second > points[high].second) high = i;
      }
    }
    std::vector<std::size_t> chosen;
    for (const std::size_t i : {low, high, gap})
      if (i != end) chosen.push_back(i);
    if (s == 0 && is_finite(points.front())) chosen.push_back(0);
    if (s + 1 == stretches && is_finite(points.back())) chosen.push_back(last);
    std::ranges::sort(chosen);
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    kept.insert(kept.end(), chosen.begin(), chosen.end());
  }
  curve_points out;
  for (const std::size_t i : kept) out.push_back(points[i]);
  return out;
}

}  // namespace coho::trainer
