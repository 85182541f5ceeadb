#include <algorithm>
#include <numeric>
#include <vector>

#include <coho/optimization/data_order.hpp>

#include "support/catch.hpp"

using namespace coho;

TEST_CASE("each epoch visits every example once, in another order") {
  data_order order(10, 4, 1, true);
  CHECK(order.steps_per_epoch() == 3);
  std::vector<std::vector<std::size_t>> epochs;
  for (std::uint64_t epoch = 0; epoch < 2; ++epoch) {
    std::vector<std::size_t> seen;
    for (std::uint64_t s = 0; s < 3; ++s) {
      const auto batch = order.batch(epoch * 3 + s, 0, 1);
      CHECK(batch.size() == (s == 2 ? 2 : 4));
      seen.insert(seen.end(), batch.begin(), batch.end());
    }
    epochs.push_back(seen);
    std::ranges::sort(seen);
    std::vector<std::size_t> all(10);
    std::iota(all.begin(), all.end(), std::size_t{0});
    CHECK(seen == all);
  }
  CHECK(epochs[0] != epochs[1]);
}

TEST_CASE("a step's examples depend on seed and step alone") {
  data_order walked(100, 7, 5, true), fresh(100, 7, 5, true), other(100, 7, 6, true);
  for (std::uint64_t s = 0; s < 40; ++s) walked.batch(s, 0, 1);
  CHECK(walked.batch(33, 0, 1) == fresh.batch(33, 0, 1));
  CHECK(fresh.batch(33, 0, 1) != other.batch(33, 0, 1));
}

TEST_CASE("ranks share a batch") {
  data_order order(9, 5, 0, true);
  const auto whole = order.batch(0, 0, 1), first = order.batch(0, 0, 2), second = order.batch(0, 1, 2);
  CHECK(first == std::vector<std::size_t>{whole[0], whole[2], whole[4]});
  CHECK(second == std::vector<std::size_t>{whole[1], whole[3]});
}

TEST_CASE("without shuffling the order is the given one") {
  data_order order(5, 3, 0, false);
  CHECK(order.batch(0, 0, 1) == std::vector<std::size_t>{0, 1, 2});
  CHECK(order.batch(1, 0, 1) == std::vector<std::size_t>{3, 4});
  CHECK(order.batch(2, 0, 1) == std::vector<std::size_t>{0, 1, 2});
  CHECK_THROWS_AS(data_order(0, 3, 0, false), argument_error);
  CHECK_THROWS_AS(data_order(5, 0, 0, false), option_error);
}
