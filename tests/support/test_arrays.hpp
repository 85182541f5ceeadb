#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <vector>

#include <Eigen/Core>

#include <coho/rng.hpp>

namespace coho::test {

inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
inline constexpr double infinity = std::numeric_limits<double>::infinity();

using offsets = std::vector<std::size_t>;
using flags = std::vector<std::uint8_t>;

inline Eigen::ArrayXd array(std::initializer_list<double> numbers) {
  return Eigen::Map<const Eigen::ArrayXd>(numbers.begin(), static_cast<Eigen::Index>(numbers.size()));
}

/// The same numbers in any of the containers that algorithms take.
template <class Array>
Array make(std::initializer_list<double> numbers) {
  Array out(numbers.size());
  std::size_t i = 0;
  for (const double number : numbers)
    out[static_cast<std::ptrdiff_t>(i++)] = static_cast<typename Array::value_type>(number);
  return out;
}

inline Eigen::ArrayXd normals(Eigen::Index count, std::uint64_t seed, double deviation = 1) {
  rng random(seed);
  Eigen::ArrayXd out(count);
  for (double& x : out) x = deviation * random.normal();
  return out;
}

}  // namespace coho::test
