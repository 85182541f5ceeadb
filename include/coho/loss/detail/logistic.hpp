#pragma once

#include <cmath>

namespace coho::inline v0_1::detail {

/// The functions of z that losses need, all from the one exponential e^−|z|.
struct logistic_terms {
  double softplus;          ///< log(1 + e^z) = −log σ(−z)
  double softplus_negated;  ///< log(1 + e^−z) = −log σ(z)
  double sigmoid;           ///< σ(z)
  double sigmoid_negated;   ///< σ(−z), precise where σ(z) rounds to 1
};
/// All of them for one z; NaN gives NaN.
inline logistic_terms logistic(double z) noexcept {
  const double e = std::exp(-std::abs(z)), whole = 1 + e, share = 1 / whole;
  // log1p(e): the logarithm of the rounded sum, plus what rounding removed. Faster than std::log1p, as precise.
  const double rest = std::log(whole) + (e - (whole - 1)) * share;
  const double major = share, minor = e * share;
  return {(z > 0 ? z : 0) + rest, (z < 0 ? -z : 0) + rest, z < 0 ? minor : major, z < 0 ? major : minor};
}

}  // namespace coho::inline v0_1::detail
