#include "collection/hash_set.hpp"

#include <unordered_set>

#include <coho/rng.hpp>

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("hash set: says of each number whether it is new, as a set of the standard library does") {
  hash_set ours;
  std::unordered_set<std::uint64_t> theirs;
  coho::rng random(3);
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t hash = 1 + random.index(8000) * 1024;  // many fall on the same slots
    CHECK(ours.insert(hash) == theirs.insert(hash).second);
  }
  CHECK(ours.size() == theirs.size());
  hash_set zero;
  CHECK(zero.insert(0));
  CHECK_FALSE(zero.insert(0));
}

TEST_CASE("hash set: millions of numbers take at most 12 bytes each, at every size") {
  hash_set set;
  CHECK(set.bytes() == 0);
  for (std::uint64_t i = 0; i < 3'000'000; ++i) {
    set.insert(coho::rng(1, i).bits64());
    if (i > 100'000 && i % 50'000 == 0) CHECK(set.bytes() <= 12 * set.size());
  }
  CHECK(set.size() == 3'000'000);
  CHECK(set.bytes() >= 8 * set.size());
}
