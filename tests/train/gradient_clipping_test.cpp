#include <coho/train/gradient_clipping.hpp>

#include <cmath>
#include <limits>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
namespace archetype = coho::test::archetype;

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

TEST_CASE("gradients are summed over ranks") {
  test::run_ranks(3, [](auto& ranks) {
    archetype::trainable model;
    model.gradient = {static_cast<float>(ranks.rank()), 1.0F};
    all_reduce_gradients(ranks, model);
    if (model.gradient[0] != 3.0F || model.gradient[1] != 3.0F) throw error("wrong sum");
  });
  // A model that cannot sum its gradients must not train on several ranks unnoticed.
  CHECK_THROWS_AS(test::run_ranks(2,
                                  [](auto& ranks) {
                                    archetype::trainable_elsewhere model;
                                    all_reduce_gradients(ranks, model);
                                  }),
                  argument_error);
}
