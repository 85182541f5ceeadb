#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace coho::trainer {

/// A curve as it is drawn: (x, y).
using curve_points = std::vector<std::pair<double, double>>;

/// The exponential moving average that TensorBoard draws: m ← w·m + (1 − w)·y, divided by 1 − w^n, so that the start is
/// not drawn towards 0. `weight` w in [0, 1); 0 changes nothing. Values that are not finite stay where they are and do
/// not enter the average.
curve_points smooth(const curve_points& points, double weight);

/// At most `limit` of the points (and the gaps between them), for drawing: of each stretch of neighbours the lowest and
/// the highest, so that no spike is lost, and the first and the last of all. A gap within a stretch (a value that is
/// not finite) stays one. `limit` is at least 8.
curve_points thin(const curve_points& points, std::size_t limit);

}  // namespace coho::trainer
