#include <vector>

#include <coho/packed.hpp>

#include "support/catch.hpp"

using namespace coho;

TEST_CASE("packed sequences keep their lengths, empty ones included") {
  packed<int> sequences{{1, 2, 3}, {}, {4}};
  REQUIRE(sequences.size() == 3);
  CHECK(sequences.total() == 4);
  CHECK(sequences.offsets == std::vector<std::size_t>{0, 3, 3, 4});
  CHECK(sequences.length(1) == 0);
  CHECK(sequences[2][0] == 4);
  sequences.push_back(std::vector<long>{5, 6});
  CHECK(sequences.length(3) == 2);
  sequences[3][1] = 7;
  CHECK(sequences.values.back() == 7);
  CHECK(packed<int>{}.empty());
  CHECK(packed<int>{}.offsets == std::vector<std::size_t>{0});
}

TEST_CASE("select takes sequences in the order of the indices") {
  const packed<int> sequences{{1, 2}, {3}, {4, 5, 6}};
  CHECK(sequences.select(std::vector<int>{2, 0, 2}) == packed<int>{{4, 5, 6}, {1, 2}, {4, 5, 6}});
  CHECK(sequences.select(std::vector<int>{}).empty());
  const token_batch batch{{{1}, {2}}, {{3, 4}, {5}}};
  const auto second = batch.select(std::vector<std::size_t>{1});
  CHECK(second.size() == 1);
  CHECK(second.prompts == packed<token>{{2}});
  CHECK(second.responses == packed<token>{{5}});
}
