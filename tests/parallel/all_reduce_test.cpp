#include <coho/parallel/all_reduce.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
namespace archetype = coho::test::archetype;

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

TEST_CASE("the largest number of any rank, negative ones included") {
  test::run_ranks(3, [](auto& ranks) {
    const double mine = static_cast<double>(ranks.rank()) - 5;
    if (detail::all_reduce_max(mine, ranks) != -3) throw error("wrong maximum");
  });
  CHECK(detail::all_reduce_max(-2, local) == -2);
}
