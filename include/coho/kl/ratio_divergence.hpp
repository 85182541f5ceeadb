#pragma once

#include <algorithm>

#include <Eigen/Core>

#include <coho/kl/estimators.hpp>
#include <coho/loss/detail/log_ratio.hpp>

namespace coho::inline v0_1::detail {

/// Σ_t (ρ_t − 1 − log ρ_t), an estimate of KL(old ‖ new) times the number of tokens, never negative: k3 of old − new,
/// log ρ within `log_ratio_limit`.
template <class LogProbs, class Old>
double ratio_divergence(const LogProbs& log_probs, const Old& old_log_probs) {
  double sum = 0;
  for (Eigen::Index t = 0; t < log_probs.size(); ++t) {
    sum += kl_value<kl_estimator::k3>(std::clamp(old_log_probs(t) - log_probs(t), -log_ratio_limit, log_ratio_limit));
  }
  return sum;
}

}  // namespace coho::inline v0_1::detail
