#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <coho/check_lengths.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/loss/detail/results.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

template <class Value, class Array>
struct exact_kl_result {
  Value value;     ///< Σ_t w_t·KL_t
  Array d_logits;  ///< its gradient with respect to the policy's logits, laid out as its log-probs
};

/// The KL divergence of whole next-token distributions, without sampling error, at the cost of reading one vocabulary
/// of numbers per token:
///
///     KL_t = Σ_v p_v·(log p_v − log q_v),   ∂KL_t/∂z_v = p_v·(log p_v − log q_v − KL_t)
///
/// with p = softmax(z) the policy and q the reference, a constant. It is the expectation under the policy of
/// `kl_estimate` with k1 or k3, never negative (except for rounding), and 0 only for equal distributions.
///
/// `log_probs` and `reference_log_probs` are normalised log-probabilities (nats): Eigen arrays [vocabulary × tokens],
/// one column per token (one-dimensional for one token); or flat contiguous ranges, token by token, and a vocabulary
/// size; or tensors [tokens, vocabulary]. All three have the same order in memory. `operator()` returns one number per
/// token, for tensors differentiable with respect to log_probs; `value_and_grad` weights the tokens (w_t = 0: not read,
/// gradient 0) and returns an `exact_kl_result`. −inf in log_probs (a banned token) adds 0, whatever the reference has
/// there; −inf only in the reference makes the divergence infinite. That, and NaN, is an argument_error that names the
/// row, which is the token's index; for tensors this check synchronises with the device. Sizes that do not match are an
/// argument_error too.
///
///     Eigen::ArrayXd kl = coho::exact_kl(log_probs, reference_log_probs);  // [vocabulary × tokens]
///     auto [value, d_logits] = coho::exact_kl.value_and_grad(log_probs, reference_log_probs, weights);
struct exact_kl_fn {
  template <class LogProbs, class Reference>
  auto operator()(const LogProbs& log_probs, const Reference& reference_log_probs) const {
    if constexpr (detail::device_array<LogProbs>) {
      static_assert(detail::device_array<Reference>, "coho::exact_kl: tensors and host arrays cannot be mixed");
      check_shapes(log_probs, reference_log_probs);
      const LogProbs reference = coho::detach(reference_log_probs), banned = log_probs == minus_infinity;
      const LogProbs kl = tensor_divergences(log_probs, reference, banned).kl;
      check_rows(detail::on_host(kl));
      return kl;
    } else {
      static_assert(eigen_dense<LogProbs> && eigen_dense<Reference>,
                    "coho::exact_kl: give ranges with a vocabulary size");
      return host_divergences(log_probs.derived().array(), reference_log_probs.derived().array());
    }
  }
  template <detail::host_array LogProbs, detail::host_array Reference>
  auto operator()(const LogProbs& log_probs, const Reference& reference_log_probs, std::size_t vocabulary) const {
    const auto p = detail::host_elements(log_probs);
    const auto q = detail::host_elements(reference_log_probs);
    return host_divergences(as_table(p, vocabulary), as_table(q, vocabulary));
  }

  template <class LogProbs, class Reference, class Weights>
  auto value_and_grad(const LogProbs& log_probs, const Reference& reference_log_probs,
                      const token_weights<Weights>& weights) const {
    if constexpr (detail::device_array<LogProbs>) {
      static_assert(detail::device_array<Reference> && detail::device_array<Weights>,
                    "coho::exact_kl: tensors and host arrays cannot be mixed");
      return tensor_value_and_grad(LogProbs(coho::detach(log_probs)), LogProbs(coho::detach(reference_log_probs)),
                                   weights);
    } else {
      static_assert(eigen_dense<LogProbs> && eigen_dense<Reference>,
                    "coho::exact_kl: give ranges with a vocabulary size");
      table_of<typename LogProbs::Scalar> d_logits(log_probs.rows(), log_probs.cols());
      const double value =
          host_value_and_grad(log_probs.derived().array(), reference_log_probs.derived().array(), weights, d_logits);
      return exact_kl_result<double, decltype(d_logits)>{value, std::move(d_logits)};
    }
  }
  template <detail::host_array LogProbs, detail::host_array Reference, class Weights>
  auto value_and_grad(const LogProbs& log_probs, const Reference& reference_log_probs, std::size_t vocabulary,
                      const token_weights<Weights>& weights) const {
    using number = detail::host_number_t<LogProbs>;
    const auto p = detail::host_elements(log_probs);
    const auto q = detail::host_elements(reference_log_probs);
    const auto policy = as_table(p, vocabulary);
    detail::array_of<number> d_logits(static_cast<Eigen::Index>(p.size()));
    Eigen::Map<table_of<number>> view(d_logits.data(), policy.rows(), policy.cols());
    const double value = host_value_and_grad(policy, as_table(q, vocabulary), weights, view);
    return exact_kl_result<double, detail::array_of<number>>{value, std::move(d_logits)};
  }

 private:
  template <class Number>
  using table_of = Eigen::Array<Number, Eigen::Dynamic, Eigen::Dynamic>;
  static constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

  // A flat range, token by token, as [vocabulary × tokens] without a copy. Throws argument_error unless it divides
  // evenly.
  template <class Elements>
  static auto as_table(const Elements& x, std::size_t vocabulary) {
    require_argument(vocabulary > 0 && x.size() % vocabulary == 0,
                     "exact_kl: " + std::to_string(x.size()) + " numbers are not a multiple of the vocabulary size " +
                         std::to_string(vocabulary));
    using number = std::remove_cvref_t<decltype(x[0])>;
    return Eigen::Map<const table_of<number>>(x.data(), static_cast<Eigen::Index>(vocabulary),
                                              static_cast<Eigen::Index>(x.size() / vocabulary));
  }

  // Throws argument_error for a divergence that is NaN or infinite, and names its token.
  static void require_finite_row(double kl, Eigen::Index row) {
    if (std::isfinite(kl)) return;
    throw argument_error("exact_kl: the divergence of row " + std::to_string(row) +
                         " is not finite: it contains NaN, or the reference has −inf where the policy does not");
  }
  // `require_finite_row` of each token's divergence.
  template <class Array>
  static void check_rows(const Array& kl) {
    for (Eigen::Index row = 0; row < kl.size(); ++row) require_finite_row(kl[row], row);
  }
  // Throws argument_error unless the reference, the second pair of sizes, has the shape of the policy, the first.
  static void check_sizes(Eigen::Index rows, Eigen::Index columns, Eigen::Index found_rows,
                          Eigen::Index found_columns) {
    const auto text = [](Eigen::Index a, Eigen::Index b) { return std::to_string(a) + " × " + std::to_string(b); };
    require_argument(rows == found_rows && columns == found_columns, "exact_kl: reference_log_probs is " +
                                                                         text(found_rows, found_columns) + " where " +
                                                                         text(rows, columns) + " was expected");
  }

  // One token's divergence; p and d = log p − log q are kept for the gradient. A token of probability 0 adds 0.
  struct row_scratch {
    std::vector<double> p, d;

    template <class P, class Q>
    double divergence(const P& log_p, const Q& log_q, Eigen::Index row) {
      const auto size = static_cast<std::size_t>(log_p.size());
      p.resize(size);
      d.resize(size);
      double kl = 0;
      for (std::size_t v = 0; v < size; ++v) {
        const double x = static_cast<double>(log_p.coeff(static_cast<Eigen::Index>(v)));
        p[v] = std::exp(x);
        d[v] = x == minus_infinity ? 0 : x - static_cast<double>(log_q.coeff(static_cast<Eigen::Index>(v)));
        kl += p[v] * d[v];
      }
      require_finite_row(kl, row);
      return kl;
    }
  };

  // KL_t of each column of [vocabulary × tokens], in the policy's number type.
  template <class P, class Q>
  static auto host_divergences(const P& log_probs, const Q& reference) {
    check_sizes(log_probs.rows(), log_probs.cols(), reference.rows(), reference.cols());
    using scalar = typename P::Scalar;
    detail::array_of<std::conditional_t<std::is_floating_point_v<scalar>, scalar, double>> out(log_probs.cols());
    row_scratch scratch;
    for (Eigen::Index t = 0; t < out.size(); ++t) {
      out[t] = static_cast<typename decltype(out)::Scalar>(scratch.divergence(log_probs.col(t), reference.col(t), t));
    }
    return out;
  }

  // Σ_t w_t·KL_t; writes the gradient to `d_logits`, which has the shape of `log_probs`. Tokens of weight 0 are not
  // read.
  template <class P, class Q, class Weights, class Gradient>
  static double host_value_and_grad(const P& log_probs, const Q& reference, const token_weights<Weights>& weights,
                                    Gradient& d_logits) {
    static_assert(detail::host_array<Weights>, "coho::exact_kl: tensors and host arrays cannot be mixed");
    check_sizes(log_probs.rows(), log_probs.cols(), reference.rows(), reference.cols());
    const auto w = detail::host_elements(weights.values);
    detail::check_lengths(static_cast<std::size_t>(log_probs.cols()), w.size(), "exact_kl", "weights");
    d_logits.setZero();
    double value = 0;
    row_scratch scratch;
    for (Eigen::Index t = 0; t < log_probs.cols(); ++t) {
      const double weight = static_cast<double>(w[static_cast<std::size_t>(t)]);
      if (weight == 0) continue;
      const double kl = scratch.divergence(log_probs.col(t), reference.col(t), t);
      value += weight * kl;
      auto* const to = d_logits.data() + t * d_logits.rows();
      const double *const p = scratch.p.data(), *const d = scratch.d.data();
      for (Eigen::Index v = 0; v < d_logits.rows(); ++v) {
        to[v] = static_cast<typename Gradient::Scalar>(weight * p[v] * (d[v] - kl));
      }
    }
    detail::require_finite(value, "exact_kl");
    return value;
  }

  // Both tensors must be [tokens, vocabulary], of the same sizes.
  template <class T>
  static void check_shapes(const T& log_probs, const T& reference) {
    require_argument(log_probs.dim() == 2 && reference.dim() == 2, "exact_kl: tensors must be [tokens, vocabulary]");
    check_sizes(log_probs.size(0), log_probs.size(1), reference.size(0), reference.size(1));
  }

  template <class T>
  struct tensor_rows {
    T p, d, kl;
  };
  // Entries that `skip` marks are replaced before any arithmetic, so that neither values nor gradients become NaN.
  template <class T>
  static tensor_rows<T> tensor_divergences(const T& log_probs, const T& reference, const T& skip) {
    using std::exp;
    const T log_p = coho::where(skip, 0.0, log_probs);
    const T d = log_p - coho::where(skip, 0.0, reference);
    const T p = coho::where(skip, 0.0, T(exp(log_p)));
    return {p, d, T(p * d).sum(1)};
  }
  // The same on tensors that are detached already, with the gradient in closed form.
  template <class T>
  static exact_kl_result<detail::value_of<T>, T> tensor_value_and_grad(const T& log_probs, const T& reference,
                                                                       const token_weights<T>& weights) {
    check_shapes(log_probs, reference);
    detail::check_lengths(static_cast<std::size_t>(log_probs.size(0)), static_cast<std::size_t>(weights.values.numel()),
                          "exact_kl", "weights");
    const T weight = weights.values.unsqueeze(1);
    const auto row = tensor_divergences(log_probs, reference, T((log_probs == minus_infinity).logical_or(weight == 0)));
    check_rows(detail::on_host(row.kl));
    return {coho::sum(weights.values * row.kl), weight * row.p * (row.d - row.kl.unsqueeze(1))};
  }
};
inline constexpr exact_kl_fn exact_kl{};

}  // namespace coho::inline v0_1
