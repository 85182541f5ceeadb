#include "collection/length_counts.hpp"

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("length counts: quantiles are lengths that occur") {
  length_counts counts;
  CHECK(counts.quantile(50) == 0);
  for (const std::size_t length : {7, 1, 3, 3, 100}) counts.add(length);
  CHECK(counts.size() == 5);
  CHECK(counts.quantile(0) == 1);
  CHECK(counts.quantile(50) == 3);  // 3 of the 5 are at most 3
  CHECK(counts.quantile(61) == 7);
  CHECK(counts.quantile(80) == 7);
  CHECK(counts.quantile(81) == 100);
  CHECK(counts.quantile(100) == 100);
}
