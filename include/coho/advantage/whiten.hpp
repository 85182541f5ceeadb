#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <coho/concepts.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>
#include <cstddef>
#include <span>
#include <utility>

namespace coho {

/// Divide the sum of squares by n, or by n − 1.
enum class deviation { population, bessel };

/// Which numbers the mean and deviation are taken over, and which are changed.
enum class whiten_scope {
  real_tokens,    ///< those with mask 1; the others become 0 and are never read
  all_positions,  ///< padding too, as AlpacaFarm's and SALMON's code do; the mask is ignored
};

struct whiten_options {
  bool keep_mean = false;                             ///< scale only, as for rewards
  coho::deviation deviation = deviation::population;  ///< Bessel's correction needs two numbers; of one it is 0
  double epsilon = 1e-8;                              ///< added to the deviation; > 0
  whiten_scope scope = whiten_scope::real_tokens;

  /// Over real tokens of the whole batch.
  static whiten_options paper() { return {}; }
  /// As the released code: padding counts. Lay the batch out padded to the fixed response length to reproduce its
  /// numbers.
  static whiten_options salmon_code() { return {.scope = whiten_scope::all_positions}; }
};

/// Mean and deviation of a set of numbers, over all ranks.
struct moments {
  double mean = 0;
  double deviation = 0;  ///< without epsilon
  double count = 0;
};

namespace detail {

/// Count, mean and sum of squared differences from the mean: one pass in blocks that stay in cache, two passes within a
/// block, blocks merged by the formula of Chan et al. 1979. Neither cancels, however far the mean is from 0.
struct moment_sums {
  double count = 0, mean = 0, squares = 0;

  void merge(const moment_sums& other) noexcept {
    if (other.count == 0) return;
    const double total = count + other.count, difference = other.mean - mean;
    squares += other.squares + difference * difference * count * (other.count / total);
    mean += difference * (other.count / total);
    count = total;
  }
};

template <class X, class Mask>
moment_sums sum_moments(const X& x, const Mask& mask) {
  constexpr std::size_t size = 1024;
  alignas(64) std::array<double, size> numbers, kept;
  moment_sums all;
  for (std::size_t begin = 0; begin < x.size(); begin += size) {
    const std::size_t count = std::min(x.size() - begin, size);
    for (std::size_t k = 0; k < count; ++k) {
      const double number = static_cast<double>(x[begin + k]);
      numbers[k] = mask[begin + k] != 0 ? number : 0.0;
      kept[k] = mask[begin + k] != 0 ? 1.0 : 0.0;
    }
    const Eigen::Map<Eigen::ArrayXd> values(numbers.data(), static_cast<Eigen::Index>(count));
    const Eigen::Map<Eigen::ArrayXd> real(kept.data(), static_cast<Eigen::Index>(count));
    moment_sums part{.count = real.sum()};
    if (part.count == 0) continue;
    part.mean = values.sum() / part.count;
    part.squares = ((values - part.mean) * real).square().sum();
    all.merge(part);
  }
  return all;
}

template <class X, class Mask, communicator Communicator>
moments global_moments(const X& x, const Mask& mask, deviation kind, Communicator& ranks) {
  const moment_sums local = sum_moments(x, mask);
  std::array<double, 2> first{local.count, local.count * local.mean};
  ranks.all_reduce_sum(std::span<double>(first));
  const double count = first[0];
  if (count == 0) return {};
  const double mean = ranks.size() == 1 ? local.mean : first[1] / count;
  const double shift = local.count == 0 ? 0 : local.mean - mean;
  std::array<double, 1> second{local.squares + local.count * shift * shift};
  ranks.all_reduce_sum(std::span<double>(second));
  const double divisor = kind == deviation::population ? count : count - 1;
  return {mean, divisor > 0 ? std::sqrt(second[0] / divisor) : 0.0, count};
}

}  // namespace detail

struct whiten_fn {
  /// y = (x − mean) / (deviation + ε) over the real tokens of all ranks; with `keep_mean`, mean is added back.
  ///
  /// `x`: array, range or tensor (the result is detached). `mask`: one number a token, nonzero for real tokens; where
  /// it is 0 the result is 0. Returns an Eigen array of x's number type, or a tensor. All ranks must call together; a
  /// rank may have no token. When all numbers are equal the result is 0 (or the mean). Throws option_error
  /// (epsilon), argument_error (lengths differ; a mean or deviation that is not finite, which is NaN or infinity in a
  /// real token).
  ///
  ///     auto normalised = coho::whiten(advantages, mask);
  ///     auto scaled = coho::whiten(rewards, mask, {.keep_mean = true});
  template <class X, class Mask, communicator Communicator = const local_communicator>
  requires(!std::same_as<std::remove_cvref_t<Mask>, whiten_options>) auto operator()(
      const X& x, const Mask& mask, const whiten_options& options = {},
      Communicator&& ranks = local_communicator{}) const {
    if constexpr (!detail::host_array<X>) static_assert(detail::array_check<X>::passed);
    const auto& x_local = detail::on_host(x);
    const auto& mask_local = detail::on_host(mask);
    const auto elements = detail::host_elements(x_local);
    const auto real = detail::host_elements(mask_local);
    using number = detail::host_number_t<decltype(x_local)>;
    detail::check_lengths(elements.size(), real.size(), "whiten", "mask");
    auto result = options.scope == whiten_scope::all_positions
                      ? run<number>(elements, detail::all_real{elements.size()}, options, ranks)
                      : run<number>(elements, real, options, ranks);
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
        run<detail::host_number_t<decltype(x_local)>>(elements, detail::all_real{elements.size()}, options, ranks), x);
  }

 private:
  template <class Number, class X, class Mask, class Communicator>
  static detail::array_of<Number> run(const X& x, const Mask& mask, const whiten_options& options,
                                      Communicator& ranks) {
    require_option(options.epsilon > 0, "epsilon", options.epsilon, "greater than 0");
    const moments m = detail::global_moments(x, mask, options.deviation, ranks);
    require_argument(std::isfinite(m.mean) && std::isfinite(m.deviation),
                     "whiten: the mean or deviation is not finite; a real token holds NaN or infinity");
    // Equal numbers differ from their mean by rounding, which a small epsilon would magnify.
    const bool equal = m.deviation <= 1e-14 * std::abs(m.mean);
    const double factor = equal ? 0 : 1 / (m.deviation + options.epsilon), added = options.keep_mean ? m.mean : 0;
    detail::array_of<Number> out(static_cast<Eigen::Index>(x.size()));
    Number* const result = out.data();
    for (std::size_t t = 0; t < x.size(); ++t) {
      const double y = (static_cast<double>(x[t]) - m.mean) * factor + added;
      result[t] = mask[t] != 0 ? static_cast<Number>(y) : Number(0);
    }
    return out;
  }
};
inline constexpr whiten_fn whiten{};

}  // namespace coho
