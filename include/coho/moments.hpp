#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/reduce.hpp>

/// Mean and deviation: of an array, of the arrays of all ranks, and of numbers that come one by one.
namespace coho::inline v0_1 {

/// What the sum of squares is divided by: n, or n − 1 (Bessel's correction).
enum class deviation { population, bessel };
constexpr auto option_names(deviation) { return std::array{"population", "bessel"}; }

/// Mean and deviation of a set of numbers, over all ranks.
struct moments {
  double mean = 0;
  double deviation = 0;  ///< without epsilon
  double count = 0;
};

namespace detail {

/// Mask elements examined together: most such parts are all real or all padding.
inline constexpr std::size_t mask_part = 64;

/// Elements of [begin, begin + count) whose mask is not 0; `count` is at most `mask_part`.
template <class Mask>
std::size_t count_real_tokens(const Mask& mask, std::size_t begin, std::size_t count) noexcept {
  std::uint8_t real = 0;  // a sum in bytes, since byte masks are added fastest this way
  if (count == mask_part) {
    for (std::size_t k = 0; k < mask_part; ++k) real += static_cast<std::uint8_t>(mask[begin + k] != 0);
  } else {
    for (std::size_t k = 0; k < count; ++k) real += static_cast<std::uint8_t>(mask[begin + k] != 0);
  }
  return real;
}

/// Calls f(begin, end, real, mask) for parts of [begin, end), `real` elements of which have a mask other than 0: for
/// neighbouring parts merged, and with a mask that is real at compile time where all elements are.
template <class Mask, class F>
void for_each_mask_part(const Mask& mask, std::size_t begin, std::size_t end, const F& f) {
  if constexpr (std::is_same_v<Mask, all_real>) {
    f(begin, end, end - begin, mask);
  } else {
    while (begin < end) {
      std::size_t stop = std::min(begin + mask_part, end);
      const std::size_t real = count_real_tokens(mask, begin, stop - begin);
      if (real == stop - begin) {
        while (end - stop >= mask_part && count_real_tokens(mask, stop, mask_part) == mask_part) stop += mask_part;
        f(begin, stop, stop - begin, all_real{end});
      } else {
        f(begin, stop, real, mask);
      }
      begin = stop;
    }
  }
}

/// Count, mean and sum of squared differences from the mean.
struct moment_sums {
  double count = 0, mean = 0, squares = 0;

  /// One more number, by Welford's update: no cancellation for numbers far from 0.
  void add(double x) noexcept {
    const double difference = x - mean;
    count += 1;
    mean += difference / count;
    squares += difference * (x - mean);
  }
  /// The numbers of both, by the formula of Chan et al. 1979.
  void merge(const moment_sums& other) noexcept {
    if (other.count == 0) return;
    const double total = count + other.count, difference = other.mean - mean;
    squares += other.squares + difference * difference * count * (other.count / total);
    mean += difference * (other.count / total);
    count = total;
  }
};

/// One pass in blocks. In each block, differences from the mean so far (at first: from the first number)
/// and their squares are summed. With s and q these sums and n the count so far, block included, the mean moves by s/n
/// and the sum of squares grows by q − s²/n. That does not cancel, however far the mean is from 0: after the first
/// block s²/n is at most q/2, and within it q is at most (number of elements + 1)·result, as one of the elements is the
/// origin.
template <class X, class Mask, class Sum = double>
moment_sums sum_moments(const X& x, const Mask& mask) {
  constexpr std::size_t block = 1024, lanes = 8;
  using several = Eigen::Array<Sum, lanes, 1>;
  moment_sums all;
  std::size_t begin = 0;
  while (begin < x.size() && mask[begin] == 0) ++begin;
  if (begin < x.size()) all.mean = static_cast<double>(x[begin]);
  for (; begin < x.size(); begin += block) {
    several sums = several::Zero(), squares = several::Zero();
    const double origin = all.mean;
    std::size_t counted = 0;
    const auto add = [&](std::size_t from, std::size_t end, std::size_t real, const auto& kept) {
      if (real == 0) return;
      several sum = sums, square = squares, d;
      const auto difference = [&](std::size_t t) {
        const double number = static_cast<double>(x[t]) - origin;
        return kept[t] != 0 ? number : 0.0;
      };
      for (; end - from >= lanes; from += lanes) {
        for (std::size_t k = 0; k < lanes; ++k) d.data()[k] = difference(from + k);
        sum += d;
        square += d * d;
      }
      d.setZero();
      for (std::size_t k = 0; k < end - from; ++k) d.data()[k] = difference(from + k);
      sum += d;
      square += d * d;
      sums = sum;
      squares = square;
      counted += real;
    };
    for_each_mask_part(mask, begin, std::min(begin + block, x.size()), add);
    if (counted == 0) continue;
    all.count += static_cast<double>(counted);
    const double sum = sums.sum(), moved = sum / all.count;
    all.mean += moved;
    all.squares += std::max(squares.sum() - sum * moved, 0.0);
  }
  return all;
}

/// Mean and deviation of the elements of all ranks whose mask is not 0, all 0 where there are none. All ranks call
/// together. Deviations are taken from the global mean, in a second reduction, so that nothing cancels.
template <class X, class Mask, communicator Communicator>
moments global_moments(const X& x, const Mask& mask, deviation kind, Communicator& ranks) {
  const moment_sums local = sum_moments(x, mask);
  std::array<double, 2> first{local.count, local.count * local.mean};
  ranks.all_reduce_sum(span_of(first));
  const double count = first[0];
  if (count == 0) return {};
  const double mean = ranks.size() == 1 ? local.mean : first[1] / count;
  const double shift = local.count == 0 ? 0 : local.mean - mean;
  std::array<double, 1> second{local.squares + local.count * shift * shift};
  ranks.all_reduce_sum(span_of(second));
  const double divisor = kind == deviation::population ? count : count - 1;
  return {mean, divisor > 0 ? std::sqrt(second[0] / divisor) : 0.0, count};
}

}  // namespace detail

}  // namespace coho::inline v0_1
