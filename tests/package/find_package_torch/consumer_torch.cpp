// A user's program with torch: the same loss on tensors, differentiated by autograd.
#include <cmath>
#include <cstdio>

#include <coho/loss/bradley_terry.hpp>
#include <coho/torch/ops.hpp>

int main() {
  const at::Tensor preferred = at::zeros({1}, at::kDouble).requires_grad_(true);
  const at::Tensor other = at::zeros({1}, at::kDouble);
  coho::bradley_terry_loss{}(coho::pair_loss_inputs<at::Tensor>{.chosen = preferred, .rejected = other}).backward();
  const double gradient = preferred.grad().item<double>();
  std::printf("d loss / d preferred = %.3f\n", gradient);
  return std::abs(gradient + 0.5) < 1e-12 ? 0 : 1;
}
