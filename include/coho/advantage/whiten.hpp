#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include <coho/concepts.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/moments.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

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
                      ? whiten_elements<number>(elements, detail::all_real{elements.size()}, options, ranks)
                      : whiten_elements<number>(elements, real, options, ranks);
    return detail::from_host_as(std::move(result), x);
  }
  /// Every position is real.
  template <class X>
  auto operator()(const X& x, const whiten_options& options = {}) const {
    if constexpr (!detail::host_array<X>) static_assert(detail::array_check<X>::passed);
    const auto& x_local = detail::on_host(x);
    const auto elements = detail::host_elements(x_local);
    const local_communicator ranks;
    return detail::from_host_as(whiten_elements<detail::host_number_t<decltype(x_local)>>(
                                    elements, detail::all_real{elements.size()}, options, ranks),
                                x);
  }

 private:
  // (x − mean)/(deviation + ε) of the elements whose mask is not 0, and 0 for the others.
  template <class Number, class X, class Mask, class Communicator>
  static detail::array_of<Number> whiten_elements(const X& x, const Mask& mask, const whiten_options& options,
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
    detail::for_each_mask_part(mask, 0, x.size(), write);
    return out;
  }
};
inline constexpr whiten_fn whiten{};

}  // namespace coho::inline v0_1
