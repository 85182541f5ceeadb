#pragma once

#include <coho/torch/ops.hpp>

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

}  // namespace coho::test
