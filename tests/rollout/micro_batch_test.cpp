#include <cstddef>
#include <vector>

#include <coho/rollout/micro_batch.hpp>

#include "support/catch.hpp"

using namespace coho;
using parts = std::vector<std::vector<std::size_t>>;

TEST_CASE("micro-batches stay within the limits") {
  const std::vector<std::size_t> lengths{3, 1, 4, 1, 9, 2};
  CHECK(micro_batches(lengths, {}) == parts{{0, 1, 2, 3, 4, 5}});
  CHECK(micro_batches(lengths, {.sequences = 4}) == parts{{0, 1, 2, 3}, {4, 5}});
  CHECK(micro_batches(lengths, {.tokens = 5}) == parts{{0, 1}, {2, 3}, {4}, {5}});  // 9 goes alone
  CHECK(micro_batches(lengths, {.sequences = 2, .sort_by_length = true}) == parts{{4, 2}, {0, 5}, {1, 3}});
  CHECK(micro_batches({5, 0}, lengths, {.sequences = 1}) == parts{{5}, {0}});
  // Sequences of one length stay in the order given.
  CHECK(micro_batches({3, 0, 1, 4}, lengths, {.sort_by_length = true}) == parts{{4, 0, 3, 1}});
  CHECK(micro_batches(std::vector<std::size_t>{}, {}).empty());
}
