#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <coho/optimization/gradient_clipping.hpp>
#include <coho/optimization/gradient_step.hpp>
#include <coho/parallel/all_reduce.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
namespace archetype = coho::test::archetype;

namespace {

// Gradients that may lie on a device: `gradients()` is there, and refuses.
struct either_place {
  std::vector<float> on_device{6.0F, 0.0F};
  int norms = 0, scalings = 0, sums = 0;

  void zero_gradients() { on_device.assign(2, 0.0F); }
  std::vector<std::span<float>> gradients() { throw argument_error("gradients are not in host memory"); }
  double squared_gradient_norm() {
    ++norms;
    return on_device[0] * on_device[0] + on_device[1] * on_device[1];
  }
  void scale_gradients(double factor) {
    ++scalings;
    for (float& g : on_device) g = static_cast<float>(g * factor);
  }
  template <class Communicator>
  void all_reduce_gradients(Communicator& ranks) {
    ++sums;
    std::vector<float> host = on_device;
    ranks.all_reduce_sum(std::span<float>(host));
    on_device = host;
  }
};

}  // namespace

TEST_CASE("a model's own members are used instead of its spans") {
  either_place device;
  archetype::trainable near;
  near.gradient = {0.0F, 8.0F};
  CHECK(clip_gradient_norm(5, device, near) == Approx(10));
  CHECK(device.on_device[0] == Approx(3));
  CHECK(near.gradient[1] == Approx(4));
  CHECK((device.norms == 1 && device.scalings == 1));
  CHECK(clip_gradient_norm(5, near, device) == Approx(5));
  CHECK((device.norms == 2 && device.scalings == 1));  // within the limit: nothing to scale
  test::run_ranks(3, [](auto& ranks) {
    either_place model;
    model.on_device = {static_cast<float>(ranks.rank()), 2.0F};
    all_reduce_gradients(ranks, model);
    if (model.sums != 1 || model.on_device != std::vector<float>{3.0F, 6.0F}) throw error("wrong sum");
  });
}

TEST_CASE("gradient_step clips on the device before the optimizer steps") {
  struct watching {
    either_place* model;
    float seen = 0;
    void step(double) { seen = model->on_device[0]; }
  };
  either_place model;
  watching optimizer{&model};
  CHECK(gradient_step("step 1", model, optimizer, 0.1, 1.5) == Approx(6));
  CHECK(optimizer.seen == Approx(1.5));
  model.on_device = {std::numeric_limits<float>::quiet_NaN(), 1.0F};
  CHECK_THROWS_AS(gradient_step("step 2", model, optimizer, 0.1, 1.5), error);
  CHECK(model.scalings == 1);
}

TEST_CASE("the norm is joint over models, wherever their gradients lie") {
  archetype::trainable near;
  archetype::trainable_elsewhere far;  // norm 3
  near.gradient = {0.0F, 4.0F};
  CHECK(clip_gradient_norm(0, near, far) == Approx(5));
  CHECK(near.gradient[1] == 4.0F);  // 0 only measures
  CHECK(clip_gradient_norm(10, near, far) == Approx(5));
  CHECK(near.gradient[1] == 4.0F);
  CHECK(clip_gradient_norm(1, near, far) == Approx(5));
  CHECK(near.gradient[1] == Approx(0.8F));
  CHECK(far.norm == Approx(0.6));
}

TEST_CASE("a gradient that is not finite is reported and left alone") {
  archetype::trainable model;
  model.gradient = {1.0F, std::numeric_limits<float>::infinity()};
  CHECK(std::isinf(clip_gradient_norm(1, model)));
  CHECK(model.gradient[0] == 1.0F);
}
