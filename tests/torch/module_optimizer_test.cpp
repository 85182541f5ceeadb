#include <vector>

#include <ATen/ATen.h>
#include <torch/optim/sgd.h>

#include <coho/concepts.hpp>
#include <coho/torch/module_optimizer.hpp>

#include "support/catch.hpp"

using namespace coho;

TEST_CASE("the learning rate of a step is that of every parameter group") {
  STATIC_REQUIRE(optimizer<module_optimizer>);
  const auto leaf = [] { return at::ones({1}, at::kDouble).set_requires_grad(true); };
  const at::Tensor a = leaf(), b = leaf();
  std::vector<torch::optim::OptimizerParamGroup> groups{{{a}}, {{b}}};
  torch::optim::SGD sgd(groups, torch::optim::SGDOptions(100));
  module_optimizer stepped{sgd};
  (2 * a + 3 * b).sum().backward();
  stepped.step(0.1);
  CHECK(a.item<double>() == Approx(1 - 0.1 * 2));
  CHECK(b.item<double>() == Approx(1 - 0.1 * 3));
  stepped.step(0.01);
  CHECK(a.item<double>() == Approx(1 - 0.11 * 2));
  CHECK(b.item<double>() == Approx(1 - 0.11 * 3));
}
