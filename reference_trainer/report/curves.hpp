#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace coho::trainer {

/// A curve as it is drawn: (x, y).
using curve_points = std::vector<std::pair<double, double>>;

/// TensorBoard's exponential moving average: m ← w·m + (1 − w)·y, divided by 1 − w^n, so that the start is not biased
/// towards 0. `weight` w in [0, 1); 0 changes nothing. Values that are not finite stay in place and do not enter the
/// average.
curve_points smooth(const curve_points& points, double weight);

/// Min-max decimation: at most `limit` of the points (and the gaps between them), for drawing: the lowest and the
/// highest of each interval, so that no spike is lost, and the first and the last of all. A gap within an interval (a
/// value that is not finite) is kept. `limit` is at least 8.
curve_points decimate(const curve_points& points, std::size_t limit);

}  // namespace coho::trainer
