#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>

#include <coho/check_lengths.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>

namespace coho::inline v0_1 {

/// How the terms of many tokens become one number. With m_t the mask (1 = real response token), n_i the real tokens of
/// sequence i, n their sum and N the number of sequences that have any:
enum class reduction {
  token_mean,              ///< Σ_t m_t·term_t / n: every token counts the same
  sequence_mean_of_means,  ///< Σ_i (Σ_{t∈i} m_t·term_t / n_i) / N: every sequence counts the same
  sequence_mean_of_sums,   ///< Σ_i (Σ_{t∈i} m_t·term_t) / N
  fixed_length,            ///< Σ_t m_t·term_t / (N·fixed_length), free of length bias (Liu et al. 2025, Dr. GRPO)
};

struct reduction_options {
  reduction kind = reduction::token_mean;
  double fixed_length = 0;         ///< for reduction::fixed_length: the response length to divide by; > 0
  double token_normalizer = 0;     ///< n of the whole batch when this is a part of it; 0: count the tokens of this part
  double sequence_normalizer = 0;  ///< N of the whole batch when this is a part of it; 0: count this part's sequences

  /// Without the normalizers, which drivers set.
  static void describe(auto&& visit, auto&... o) {
    visit({"kind", "how the terms of tokens become one number"}, o.kind...);
    visit({"fixed_length", "of the kind fixed_length: the length to divide by; 0: the longest a response may be",
           allowed::at_least(0), "tokens"},
          o.fixed_length...);
  }
};

constexpr auto option_names(reduction) {
  return std::array{"token_mean", "sequence_mean_of_means", "sequence_mean_of_sums", "fixed_length"};
}

/// The weight w_t of each token in a reduced loss Σ_t w_t·term_t. A term whose weight is 0 is not read: NaN there stays
/// there.
template <class Array>
struct token_weights {
  Array values;
};

namespace detail {

/// The array itself where it is on the host; a tensor as an Eigen array of double, without its autograd graph.
template <class T>
decltype(auto) on_host(const T& x) {
  if constexpr (device_array<T>) {
    return array_traits<T>::to_host(x);
  } else {
    return (x);
  }
}

/// The reverse of `on_host`: an Eigen array as a tensor on the device and in the number type of `like` if that is one,
/// otherwise as it is.
template <class Array, class Like>
auto from_host_as(Array&& x, const Like& like) {
  if constexpr (device_array<Like>) {
    return array_traits<Like>::from_host(x, like);
  } else {
    return std::remove_cvref_t<Array>(std::forward<Array>(x));
  }
}

// The mask in which every token is real; optimised away.
struct all_real {
  std::size_t count;
  constexpr std::size_t size() const noexcept { return count; }
  constexpr bool operator[](std::size_t) const noexcept { return true; }
};

/// `make_token_weights` for elements on the host: checks the options, counts real tokens and sequences with any, then
/// writes each sequence's weight to its real tokens.
template <class Mask>
array_of<double> token_weights_on_host(const Mask& mask, std::span<const std::size_t> offsets,
                                       const reduction_options& options) {
  check_offsets(offsets, mask.size(), "make_token_weights");
  require_option(
      options.kind != reduction::fixed_length || (options.fixed_length > 0 && std::isfinite(options.fixed_length)),
      "fixed_length", options.fixed_length, "finite and greater than 0");
  require_option(options.token_normalizer >= 0 && std::isfinite(options.token_normalizer), "token_normalizer",
                 options.token_normalizer, "finite, and 0 (count) or greater");
  require_option(options.sequence_normalizer >= 0 && std::isfinite(options.sequence_normalizer), "sequence_normalizer",
                 options.sequence_normalizer, "finite, and 0 (count) or greater");

  const std::size_t sequences = offsets.size() - 1;
  array_of<double> lengths(static_cast<Eigen::Index>(sequences));
  double tokens = 0, filled = 0;
  for (std::size_t i = 0; i < sequences; ++i) {
    std::size_t length = 0;
    for (std::size_t t = offsets[i]; t < offsets[i + 1]; ++t) length += mask[t] != 0;
    lengths[static_cast<Eigen::Index>(i)] = static_cast<double>(length);
    tokens += static_cast<double>(length);
    filled += length != 0;
  }
  if (options.token_normalizer > 0) tokens = options.token_normalizer;
  if (options.sequence_normalizer > 0) filled = options.sequence_normalizer;

  array_of<double> weights(static_cast<Eigen::Index>(mask.size()));
  for (std::size_t i = 0; i < sequences; ++i) {
    const double length = lengths[static_cast<Eigen::Index>(i)];
    double weight = 0;
    if (length > 0) {
      switch (options.kind) {
        case reduction::token_mean:
          weight = 1 / tokens;
          break;
        case reduction::sequence_mean_of_means:
          weight = 1 / (filled * length);
          break;
        case reduction::sequence_mean_of_sums:
          weight = 1 / filled;
          break;
        case reduction::fixed_length:
          weight = 1 / (filled * options.fixed_length);
          break;
      }
    }
    for (std::size_t t = offsets[i]; t < offsets[i + 1]; ++t)
      weights[static_cast<Eigen::Index>(t)] = mask[t] != 0 ? weight : 0;
  }
  return weights;
}

}  // namespace detail

struct make_token_weights_fn {
  /// Weights of the tokens of N packed sequences.
  ///
  /// `mask`: one number per token, nonzero for real response tokens; array, range or tensor (then the weights are a
  /// tensor on its device). `offsets`: N + 1 entries. For gradient accumulation give the counts of the whole batch as
  /// normalizers, and the parts' losses and gradients add up to those of the batch at once. Without any real token all
  /// weights are 0. Throws option_error (normalizers, fixed_length) and argument_error (offsets that do not fit the
  /// mask).
  ///
  ///     auto weights = coho::make_token_weights(mask, batch.offsets, {.kind = coho::reduction::token_mean});
  ///     double loss = coho::nll_loss{}(log_probs, weights);
  template <class Mask>
  auto operator()(const Mask& mask, std::span<const std::size_t> offsets, const reduction_options& options = {}) const {
    if constexpr (!detail::host_array<Mask>) static_assert(detail::array_check<Mask>::passed);
    const auto& host = detail::on_host(mask);
    auto weights = detail::token_weights_on_host(detail::host_elements(host), offsets, options);
    auto placed = detail::from_host_as(std::move(weights), mask);
    return token_weights<decltype(placed)>{std::move(placed)};
  }
  /// Every token is real.
  auto operator()(std::span<const std::size_t> offsets, const reduction_options& options = {}) const {
    require_argument(!offsets.empty(), "make_token_weights: offsets must start with 0");
    return token_weights<detail::array_of<double>>{
        detail::token_weights_on_host(detail::all_real{offsets.back()}, offsets, options)};
  }
};
inline constexpr make_token_weights_fn make_token_weights{};

struct weighted_sum_fn {
  /// Σ_t w_t·x_t over the tokens with w_t ≠ 0: a double; of tensors, 0-d in their own type and differentiable.
  /// Throws argument_error when the lengths differ.
  ///
  ///     auto mean_kl = coho::weighted_sum(coho::kl_estimate(log_probs, reference), weights);
  template <class X, class W>
  auto operator()(const X& x, const token_weights<W>& weights) const {
    static_assert(detail::array_check<W>::passed);
    if constexpr (detail::device_array<X>) {
      detail::check_same_shape(weights.values, x, "weighted_sum");
      return coho::sum(weights.values * coho::where(weights.values != 0, x, 0.0));
    } else {
      const auto xs = detail::host_elements(x);
      const auto ws = detail::host_elements(weights.values);
      detail::check_lengths(ws.size(), xs.size(), "weighted_sum", "x");
      double total = 0;
      for (std::size_t t = 0; t < xs.size(); ++t) total += ws[t] != 0 ? ws[t] * static_cast<double>(xs[t]) : 0.0;
      return total;
    }
  }
};
inline constexpr weighted_sum_fn weighted_sum{};

struct sequence_sums_fn {
  /// Σ_{t∈i} x_t of each of N sequences over real tokens, in double. Returns an Eigen array of N; of a tensor a tensor,
  /// in its own number type and differentiable. Throws argument_error when lengths or offsets do not fit.
  ///
  ///     Eigen::ArrayXd kl = coho::sequence_sums(per_token_kl, mask, offsets);
  template <class X, class Mask>
  auto operator()(const X& x, const Mask& mask, std::span<const std::size_t> offsets) const {
    if constexpr (detail::device_array<X>) {
      static_assert(detail::device_array<Mask>, "coho::sequence_sums: tensors and arrays of the host cannot be mixed");
      detail::check_same_shape(x, mask, "sequence_sums");
      return (*this)(X(coho::where(mask != 0, x, 0.0)), offsets);
    } else {
      return host_sums(detail::host_elements(x), detail::host_elements(mask), offsets);
    }
  }
  template <class X>
  auto operator()(const X& x, std::span<const std::size_t> offsets) const {
    if constexpr (detail::device_array<X>) {
      detail::check_offsets(offsets, static_cast<std::size_t>(x.numel()), "sequence_sums");
      return array_traits<X>::sequence_sums(x, offsets);
    } else {
      const auto xs = detail::host_elements(x);
      return host_sums(xs, detail::all_real{xs.size()}, offsets);
    }
  }

 private:
  // For elements on the host; masked ones are not read.
  template <class X, class Mask>
  static detail::array_of<double> host_sums(const X& x, const Mask& mask, std::span<const std::size_t> offsets) {
    detail::check_lengths(x.size(), mask.size(), "sequence_sums", "mask");
    detail::check_offsets(offsets, x.size(), "sequence_sums");
    detail::array_of<double> out(static_cast<Eigen::Index>(offsets.size() - 1));
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      double total = 0;
      for (std::size_t t = offsets[i]; t < offsets[i + 1]; ++t) total += mask[t] != 0 ? static_cast<double>(x[t]) : 0.0;
      out[static_cast<Eigen::Index>(i)] = total;
    }
    return out;
  }
};
inline constexpr sequence_sums_fn sequence_sums{};

struct sequence_spread_fn {
  /// y_t = x_i for each token t of sequence i: one number per sequence becomes one per token. Returns an Eigen array of
  /// double; of a tensor a tensor, differentiable. Throws argument_error unless x has one number per sequence.
  ///
  ///     Eigen::ArrayXd token_advantages = coho::sequence_spread(sequence_advantages, responses.offsets);
  template <class X>
  auto operator()(const X& x, std::span<const std::size_t> offsets) const {
    static_assert(detail::array_check<X>::passed);
    require_argument(!offsets.empty(), "sequence_spread: offsets must start with 0");
    detail::check_offsets(offsets, offsets.back(), "sequence_spread");
    if constexpr (detail::device_array<X>) {
      detail::check_lengths(offsets.size() - 1, static_cast<std::size_t>(x.numel()), "sequence_spread", "x");
      return array_traits<X>::sequence_spread(x, offsets);
    } else {
      const auto xs = detail::host_elements(x);
      detail::check_lengths(offsets.size() - 1, xs.size(), "sequence_spread", "x");
      detail::array_of<double> out(static_cast<Eigen::Index>(offsets.back()));
      for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
        std::fill(out.data() + offsets[i], out.data() + offsets[i + 1], static_cast<double>(xs[i]));
      }
      return out;
    }
  }
};
inline constexpr sequence_spread_fn sequence_spread{};

}  // namespace coho::inline v0_1
