// expect: For at::Tensor include <coho/torch/ops.hpp>
//
// A tensor in a program that forgot the adapter. A stand-in serves: what matters is that the type has arithmetic of its
// own and no array_traits, so the test needs no torch.
#include <coho/eigen/as_array.hpp>
#include <coho/loss/nll.hpp>

namespace at {
struct Tensor {
  friend Tensor operator-(const Tensor& x) { return x; }
  friend Tensor operator*(const Tensor& x, const Tensor&) { return x; }
};
}  // namespace at

int main() {
#ifdef COHO_FAIL
  at::Tensor log_probs;
#else
  Eigen::ArrayXd log_probs = Eigen::ArrayXd::Zero(3);
#endif
  return static_cast<int>(coho::nll_loss{}(log_probs));
}
