#include <coho/torch/fused_log_probs.hpp>

#include "support/catch.hpp"

namespace {

struct outputs {
  at::Tensor log_probs, entropy, gradient;
  bool differentiable;
};

outputs run(bool entropy_gradient, bool head_gradient) {
  at::manual_seed(3);
  const at::Tensor hidden = at::randn({7, 5}, at::kDouble).set_requires_grad(true);
  const at::Tensor head = at::randn({11, 5}, at::kDouble).set_requires_grad(head_gradient);
  const at::Tensor targets = at::randint(11, {7}, at::kLong);
  const auto out = coho::fused_log_probs(hidden, head, targets,
                                         {.entropy = true, .entropy_gradient = entropy_gradient, .block_columns = 4});
  out.log_probs.sum().backward();
  return {out.log_probs.detach(), out.entropy.detach(), hidden.grad(), out.entropy.requires_grad()};
}

}  // namespace

TEST_CASE("fused_log_probs: an entropy whose gradient nobody wants is the same number and a constant") {
  for (const bool head_gradient : {false, true}) {
    const outputs with = run(true, head_gradient), without = run(false, head_gradient);
    CHECK(with.differentiable);
    CHECK_FALSE(without.differentiable);
    CHECK(at::equal(with.entropy, without.entropy));
    CHECK(at::equal(with.log_probs, without.log_probs));
    CHECK(at::allclose(with.gradient, without.gradient, 1e-14, 1e-14));
  }
}
