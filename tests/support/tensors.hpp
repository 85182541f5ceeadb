#pragma once

#include <coho/torch/ops.hpp>

#include "support/test_arrays.hpp"

namespace coho::test {

using tensor_traits = coho::array_traits<at::Tensor>;

inline at::Tensor tensor(const Eigen::ArrayXd& x, at::ScalarType type = at::kDouble) {
  return tensor_traits::from_host(x, at::empty({0}, type));
}
/// A tensor that collects a gradient.
inline at::Tensor leaf(const Eigen::ArrayXd& x) { return tensor(x).set_requires_grad(true); }
inline Eigen::ArrayXd host(const at::Tensor& x) { return tensor_traits::to_host(x); }
inline double number(const at::Tensor& x) { return x.item<double>(); }

/// Whether two arrays agree within 1e-6 relative, or absolute below 1.
inline bool close(const Eigen::ArrayXd& a, const Eigen::ArrayXd& b) {
  return a.size() == b.size() && ((a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(1.0)).all();
}

/// Factors of which one is 0, and numbers with NaN where that one stands.
inline Eigen::ArrayXd weights_with_a_gap(Eigen::Index count) {
  Eigen::ArrayXd weights = normals(count, 5).abs();
  weights[4] = 0;
  return weights;
}
inline Eigen::ArrayXd spoiled(Eigen::ArrayXd x) {
  x[4] = not_a_number;
  return x;
}

}  // namespace coho::test
