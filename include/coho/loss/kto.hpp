#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/loss/detail/preference_terms.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/inputs/kto_loss_inputs.hpp>
#include <coho/loss/inputs/preference_log_probs.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct kto_options {
  double beta = 0.1;              ///< strength of the implied KL penalty; > 0
  double desirable_weight = 1;    ///< λ_D; at least 0
  double undesirable_weight = 1;  ///< λ_U; at least 0. The paper recommends λ_D·n_D / (λ_U·n_U) in [1, 4/3]

  static void describe(auto&& visit, auto&... o) {
    visit({"beta", "strength of the KL penalty that is solved for", allowed::above(0)}, o.beta...);
    visit({"desirable_weight", "λ_D", allowed::at_least(0)}, o.desirable_weight...);
    visit({"undesirable_weight", "λ_U", allowed::at_least(0)}, o.undesirable_weight...);
  }
};

template <class Value, class Array>
struct kto_result {
  Value value;        ///< the loss
  Array d_log_probs;  ///< its gradient with respect to the policy's log-probs
  Value accuracy;     ///< fraction of desirable responses with r > z0 and undesirable ones with r < z0; ties one half
  Value margin;       ///< mean of β·(r − z0) of desirable and β·(z0 − r) of undesirable responses
};

struct kto_baseline_fn {
  /// z0, the KL baseline of `kto_loss` (Ethayarajh et al. 2024, §4.1): an estimate of KL(π ‖ π_ref) from mismatched
  /// pairs, each prompt with the response to another prompt of the batch, over the pairs of all ranks:
  ///
  ///     z0 = max(0, mean of log π(y'|x) − log π_ref(y'|x))
  ///
  /// `log_probs`, `reference_log_probs`: of whole responses, one per mismatch; arrays, ranges or tensors. Returns
  /// a double, a constant of the optimisation. All ranks must call together; a rank may have no pair. Without any:
  /// 0. Throws argument_error when lengths differ or the mean is not finite.
  ///
  ///     double baseline = coho::kto_baseline(mismatched_log_probs, mismatched_reference_log_probs);
  template <class LogProbs, class Reference, communicator Communicator = const local_communicator>
  double operator()(const LogProbs& log_probs, const Reference& reference_log_probs,
                    Communicator&& ranks = local_communicator{}) const {
    if constexpr (!detail::host_array<LogProbs>) static_assert(detail::array_check<LogProbs>::passed);
    if constexpr (!detail::host_array<Reference>) static_assert(detail::array_check<Reference>::passed);
    const auto& policy_local = detail::on_host(log_probs);
    const auto& reference_local = detail::on_host(reference_log_probs);
    const auto policy = detail::host_elements(policy_local);
    const auto reference = detail::host_elements(reference_local);
    detail::check_lengths(policy.size(), reference.size(), "kto_baseline", "reference_log_probs");
    std::array<double, 2> sums{0, static_cast<double>(policy.size())};
    for (std::size_t i = 0; i < policy.size(); ++i) {
      sums[0] += static_cast<double>(policy[i]) - static_cast<double>(reference[i]);
    }
    ranks.all_reduce_sum(detail::span_of(sums));
    const double mean = sums[1] > 0 ? sums[0] / sums[1] : 0;
    require_argument(std::isfinite(mean), "kto_baseline: the mean log-ratio is not finite");
    return mean > 0 ? mean : 0;
  }
};
inline constexpr kto_baseline_fn kto_baseline{};

/// Kahneman–Tversky optimisation (Ethayarajh et al. 2024, eq. 8): learns from single responses labelled
/// desirable or not, without pairs. The value of a response saturates in its distance from the baseline z0 on both
/// sides:
///
///     r_i = log π(y_i) − log π_ref(y_i)
///     L = Σ_i w_i·λ_D·(1 − σ(β·(r_i − z0))) where desirable, + Σ_i w_i·λ_U·(1 − σ(β·(z0 − r_i))) where not
///
/// Uses all members of `kto_loss_inputs`: arrays, ranges or tensors; log-probs are sums over tokens (`sequence_sums`),
/// `desirable` is nonzero for desirable, `kl_baseline` z0 ≥ 0 comes from `kto_baseline`. Without weights the loss is
/// the mean. Four numbers give the term of one response. `operator()` returns double, or a 0-d tensor that is
/// differentiable; `value_and_grad` a `kto_result`. Throws option_error at construction; argument_error when lengths
/// differ, z0 is missing, negative or not finite, desirable is NaN, or the loss is not finite (host arrays).
///
///     double baseline = coho::kto_baseline(mismatched_log_probs, mismatched_reference_log_probs);
///     auto result = coho::kto_loss{}.value_and_grad({.log_probs = log_probs, .reference_log_probs = reference_log_probs,
///                                                    .desirable = desirable, .kl_baseline = baseline});
///     double fresh = coho::kto_loss{}(-5.0, -5.0, 1.0, 0.0);  // 0.5
class kto_loss {
 public:
  static constexpr bool needs_pairs = false, needs_kl_baseline = true;

  explicit kto_loss(const kto_options& options = {}) : options_(options) { validate(options); }
  const kto_options& options() const noexcept { return options_; }

  static constexpr bool by_blocks = true;

  /// One element, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool Gradient, class T>
  element_terms<T, 1, 2> element(const T& log_prob, const T& reference_log_prob, const T& desirable,
                                 const T& kl_baseline) const {
    if constexpr (std::floating_point<T>) {
      if (std::isnan(desirable)) throw argument_error("kto_loss: an element of desirable is NaN");
    }
    const auto wanted = desirable != 0;
    const T difference = log_prob - reference_log_prob - kl_baseline, zero = 0.0 * difference;
    const T direction = coho::where(wanted, T(zero + 1.0), T(zero - 1.0));
    const T weight = coho::where(wanted, T(zero + options_.desirable_weight), T(zero + options_.undesirable_weight));
    const T margin = options_.beta * direction * difference;
    element_terms<T, 1, 2> out;
    // 1 − σ(x) is computed as σ(−x), which is precise where it is small.
    T wrong{}, right{};
    if constexpr (std::floating_point<T>) {
      const double e = std::exp(-std::abs(margin)), major = 1 / (1 + e), minor = e * major;
      // Products, not branches, which would be mispredicted.
      const double below = static_cast<double>(margin < 0), above = 1 - below;
      wrong = below * major + above * minor;
      right = below * minor + above * major;
    } else if constexpr (requires { logistic(margin); }) {
      const auto s = logistic(margin);
      wrong = s.sigmoid_negated;
      right = s.sigmoid;
    } else {
      wrong = coho::sigmoid(T(-margin));
      if constexpr (Gradient) right = coho::sigmoid(margin);
    }
    out.value = weight * wrong;
    if constexpr (Gradient) {
      out.slopes = {T(-options_.beta * direction * weight * wrong * right)};
      out.measures = {heaviside(margin), margin};
    }
    return out;
  }

  double operator()(double log_prob, double reference_log_prob, double desirable, double kl_baseline) const {
    require_baseline(kl_baseline);
    return element<false>(log_prob, reference_log_prob, desirable, kl_baseline).value;
  }
  template <class Array = double>
  auto operator()(const kto_loss_inputs<Array>& in) const {
    require_baseline(in.kl_baseline);
    return frame.weighted_value(*this, in.weights, in.log_probs, in.reference_log_probs, in.desirable, in.kl_baseline);
  }
  template <class Array = double>
  auto value_and_grad(const kto_loss_inputs<Array>& in) const {
    require_baseline(in.kl_baseline);
    auto result = frame.weighted_value_and_grad(*this, in.weights, in.log_probs, in.reference_log_probs, in.desirable,
                                                in.kl_baseline);
    auto& d_log_probs = result.gradients[0];
    return kto_result<decltype(result.value), std::remove_cvref_t<decltype(d_log_probs)>>{
        result.value, std::move(d_log_probs), result.measures[0], result.measures[1]};
  }

  /// The interface of a preference_loss: each response that an example has is judged by itself.
  template <std::same_as<preference_log_probs> Known, class Weights>
  preference_gradient value_and_grad(const Known& known, const token_weights<Weights>& weights) const {
    require_baseline(known.kl_baseline);
    const Eigen::Index n = known.chosen.size();
    const auto both = [n](const auto& chosen, const auto& rejected) {
      Eigen::ArrayXd out(2 * n);
      out << chosen, rejected;
      return out;
    };
    const Eigen::ArrayXd there =
        both((known.chosen_tokens > 0).template cast<double>(), (known.rejected_tokens > 0).template cast<double>());
    const token_weights<Eigen::ArrayXd> each{both(weights.values, weights.values) * there};
    const auto result = frame.weighted_value_and_grad(
        *this, each, both(known.chosen, known.rejected), both(known.reference_chosen, known.reference_rejected),
        both(Eigen::ArrayXd::Ones(n), Eigen::ArrayXd::Zero(n)), known.kl_baseline);
    const Eigen::ArrayXd& d_responses = result.gradients[0];
    return {result.value, d_responses.head(n), d_responses.tail(n), result.measures[0], result.measures[1]};
  }

 private:
  static constexpr elementwise_loss<1, 4> frame{"kto_loss",
                                                {"log_probs", "reference_log_probs", "desirable", "kl_baseline"}};

  // Throws argument_error for a baseline that is NaN (not given), negative or infinite.
  static void require_baseline(double kl_baseline) {
    require_argument(kl_baseline >= 0 && std::isfinite(kl_baseline),
                     "kto_loss: kl_baseline must be finite and at least 0");
  }

  kto_options options_;
};

}  // namespace coho::inline v0_1
