#include <cmath>
#include <cstddef>
#include <vector>

#include <coho/error.hpp>
#include <coho/optimization/gradient_clipping.hpp>
#include <coho/parallel/gradient_sum.hpp>
#include <coho/torch/module_gradients.hpp>

#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;

namespace {

struct two_parameters {
  at::Tensor a = at::zeros({2}, at::kFloat).set_requires_grad(true);
  at::Tensor b = at::zeros({1, 2}, at::kDouble).set_requires_grad(true);
  at::Tensor frozen = at::zeros({3}), unused = at::zeros({1}, at::kFloat).set_requires_grad(true);
  module_gradients gradients{{a, frozen, b, unused}};

  // Adds (1, 1)·x to a's gradient, (2, 2)·x to b's.
  void backward(double x) { (a.sum() * x + b.sum() * (2 * x)).backward(); }
};

}  // namespace

TEST_CASE("gradients of a module are measured, scaled and cleared where they are") {
  two_parameters p;
  STATIC_REQUIRE(trainable<module_gradients>);
  CHECK(p.gradients.squared_gradient_norm() == 0);  // no backward pass yet
  p.gradients.scale_gradients(2);
  p.backward(3);
  CHECK(p.gradients.squared_gradient_norm() == 2 * 9 + 2 * 36);
  CHECK(clip_gradient_norm(1, p.gradients) == Approx(std::sqrt(90)));
  CHECK(p.gradients.squared_gradient_norm() == Approx(1));
  CHECK(p.a.grad()[0].item<double>() == Approx(3 / std::sqrt(90)));
  p.gradients.zero_gradients();
  CHECK(p.gradients.squared_gradient_norm() == 0);
  CHECK_FALSE(p.frozen.grad().defined());
}

TEST_CASE("sums over ranks and shards are those of one process") {
  const auto run = [](std::size_t count, std::size_t shards) {
    std::vector<double> out;
    test::run_ranks(
        count,
        [&](auto& ranks) {
          two_parameters p;
          gradient_sum sum(ranks, shards, p.gradients);
          for (std::size_t s = 0; s < shards; ++s) {
            if (s % ranks.size() != ranks.rank()) continue;
            sum.begin_shard(s);
            p.backward(static_cast<double>(s + 1));
            sum.end_shard();
          }
          sum.end_forwards();
          sum.all_reduce();
          if (ranks.rank() == 0)
            out = {p.a.grad()[1].template item<double>(), p.b.grad()[0][1].template item<double>(),
                   p.unused.grad().defined() ? p.unused.grad()[0].template item<double>() : 0.0};
          if (p.a.grad().scalar_type() != at::kFloat) throw error("the gradient has another number type");
        },
        shards);
    return out;
  };
  const std::vector<double> whole{10, 20, 0};  // 1 + 2 + 3 + 4
  CHECK(run(1, 4) == whole);
  CHECK(run(3, 4) == whole);  // some ranks fold
  CHECK(run(4, 4) == whole);  // none does
  CHECK(run(5, 4) == whole);  // one has no share
}
