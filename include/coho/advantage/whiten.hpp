#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include <coho/concepts.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

/// Divide the sum of squares by n, or by n − 1.
enum class deviation { population, bessel };
constexpr auto option_names(deviation) { return std::array{"population", "bessel"}; }

/// Which numbers enter the mean and deviation, and which are changed.
enum class whiten_scope {
  real_tokens,    ///< those with mask 1; the others become 0 and are never read
  all_positions,  ///< padding too, as AlpacaFarm's and SALMON's code do; the mask is ignored
};
constexpr auto option_names(whiten_scope) { return std::array{"real_tokens", "all_positions"}; }

struct whiten_options {
  bool keep_mean = false;                             ///< scale only, as for rewards
  coho::deviation deviation = deviation::population;  ///< Bessel's correction needs two numbers; of one it is 0
  double epsilon = 1e-8;                              ///< added to the deviation; > 0
  whiten_scope scope = whiten_scope::real_tokens;

  /// Over real tokens of the whole batch.
  static whiten_options paper() { return {}; }
  /// Like the released code: padding counts. Lay the batch out padded to the fixed response length to reproduce its
  /// numbers.
  static whiten_options salmon_code() { return {.scope = whiten_scope::all_positions}; }

  static void describe(auto&& visit, auto&... o) {
    visit({"keep_mean", "scale only, as for rewards"}, o.keep_mean...);
    visit({"deviation", "divide the sum of squares by n, or (bessel) by n − 1"}, o.deviation...);
    visit({"epsilon", "added to the deviation", allowed::above(0)}, o.epsilon...);
    visit({"scope", "the numbers that mean and deviation are taken over"}, o.scope...);
  }
};

/// Mean and deviation of a set of numbers, over all ranks.
struct moments {
  double mean = 0;
  double deviation = 0;  ///< without epsilon
  double count = 0;
};

namespace detail {

/// Mask elements examined together: most such parts are all real or all padding.
inline constexpr std::size_t mask_part = 64;

template <class Mask>
std::size_t count_real(const Mask& mask, std::size_t begin, std::size_t count) noexcept {
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
void for_mask_parts(const Mask& mask, std::size_t begin, std::size_t end, const F& f) {
  if constexpr (std::is_same_v<Mask, all_real>) {
    f(begin, end, end - begin, mask);
  } else {
    while (begin < end) {
      std::size_t stop = std::min(begin + mask_part, end);
      const std::size_t real = count_real(mask, begin, stop - begin);
      if (real == stop - begin) {
        while (end - stop >= mask_part && count_real(mask, stop, mask_part) == mask_part) stop += mask_part;
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

  /// By the formula of Chan et al. 1979.
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
    for_mask_parts(mask, begin, std::min(begin + block, x.size()), add);
    if (counted == 0) continue;
    all.count += static_cast<double>(counted);
    const double sum = sums.sum(), moved = sum / all.count;
    all.mean += moved;
    all.squares += std::max(squares.sum() - sum * moved, 0.0);
  }
  return all;
}

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

struct whiten_fn {
  /// y = (x − mean) / (deviation + ε) over the real tokens of all ranks; with `keep_mean`, mean is added back.
  ///
  /// `x`: array, range or tensor (the result is detached). `mask`: one number per token, nonzero for real tokens; where
  /// it is 0 the result is 0. Returns an Eigen array of x's number type, or a tensor. All ranks must call together; a
  /// rank may have no token. When all numbers are equal the result is 0 (or the mean). Throws option_error
  /// (epsilon), argument_error (lengths differ; a mean or deviation that is not finite, which is NaN or infinity in a
  /// real token).
  ///
  ///     auto normalised = coho::whiten(advantages, mask);
  ///     auto scaled = coho::whiten(rewards, mask, {.keep_mean = true});
  template <class X, class Mask, communicator Communicator = const local_communicator>
    requires(!std::same_as<std::remove_cvref_t<Mask>, whiten_options>)
  auto operator()(const X& x, const Mask& mask, const whiten_options& options = {},
                  Communicator&& ranks = local_communicator{}) const {
    if constexpr (!detail::host_array<X>) static_assert(detail::array_check<X>::passed);
    const auto& x_local = detail::on_host(x);
    const auto& mask_local = detail::on_host(mask);
    const auto elements = detail::host_elements(x_local);
    const auto real = detail::host_elements(mask_local);
    using number = detail::host_number_t<decltype(x_local)>;
    detail::check_lengths(elements.size(), real.size(), "whiten", "mask");
    auto result = options.scope == whiten_scope::all_positions
                      ? whitened<number>(elements, detail::all_real{elements.size()}, options, ranks)
                      : whitened<number>(elements, real, options, ranks);
    return detail::back_to(std::move(result), x);
  }
  /// Every position is real.
  template <class X>
  auto operator()(const X& x, const whiten_options& options = {}) const {
    if constexpr (!detail::host_array<X>) static_assert(detail::array_check<X>::passed);
    const auto& x_local = detail::on_host(x);
    const auto elements = detail::host_elements(x_local);
    const local_communicator ranks;
    return detail::back_to(
        whitened<detail::host_number_t<decltype(x_local)>>(elements, detail::all_real{elements.size()}, options, ranks),
        x);
  }

 private:
  // (x − mean)/(deviation + ε) of the elements whose mask is not 0, and 0 for the others.
  template <class Number, class X, class Mask, class Communicator>
  static detail::array_of<Number> whitened(const X& x, const Mask& mask, const whiten_options& options,
                                           Communicator& ranks) {
    validate(options);
    const moments m = detail::global_moments(x, mask, options.deviation, ranks);
    require_argument(std::isfinite(m.mean) && std::isfinite(m.deviation),
                     "whiten: the mean or deviation is not finite; a real token holds NaN or infinity");
    // Equal numbers differ from their mean by rounding, which a small epsilon would magnify.
    const bool equal = m.deviation <= 1e-14 * std::abs(m.mean);
    const double factor = equal ? 0 : 1 / (m.deviation + options.epsilon), added = options.keep_mean ? m.mean : 0;
    detail::array_of<Number> out(static_cast<Eigen::Index>(x.size()));
    Number* const result = out.data();
    const auto write = [&](std::size_t begin, std::size_t end, std::size_t, const auto& real) {
      for (std::size_t t = begin; t < end; ++t) {
        const double y = (static_cast<double>(x[t]) - m.mean) * factor + added;
        result[t] = real[t] != 0 ? static_cast<Number>(y) : Number(0);
      }
    };
    detail::for_mask_parts(mask, 0, x.size(), write);
    return out;
  }
};
inline constexpr whiten_fn whiten{};

}  // namespace coho::inline v0_1
