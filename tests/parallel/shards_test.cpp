#include <algorithm>
#include <numeric>
#include <vector>

#include <coho/parallel/shards.hpp>

#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;

namespace {

/// A rank that is only asked who it is.
struct place {
  std::size_t rank_ = 0, size_ = 1, shards_ = 0;
  std::size_t rank() const { return rank_; }
  std::size_t size() const { return size_; }
  std::size_t shards() const { return shards_; }
  static void all_reduce_sum(std::span<double>) {}
  static void all_reduce_sum(std::span<float>) {}
};

std::vector<std::size_t> numbers(std::size_t count) {
  std::vector<std::size_t> out(count);
  std::iota(out.begin(), out.end(), std::size_t{0});
  return out;
}

// Who works on what: the indices of each shard, whichever rank has it.
std::vector<std::vector<std::size_t>> partitioned(const std::vector<std::size_t>& lengths, std::size_t ranks,
                                                  std::size_t shards) {
  std::vector<std::vector<std::size_t>> out(shards);
  for (std::size_t r = 0; r < ranks; ++r) {
    const place here{r, ranks, shards};
    for (const auto& shard : partition(numbers(lengths.size()), lengths, here).mine) out[shard.number] = shard.indices;
  }
  return out;
}

}  // namespace

TEST_CASE("a communicator that says nothing of shards has one per rank") {
  CHECK(shard_count(local) == 1);
  CHECK(shards_of_rank(local) == index_range{0, 1});
  CHECK(range_of_rank(7, local) == index_range{0, 7});
  const place silent{.shards_ = 0};
  CHECK(shard_count(silent) == 1);
}

TEST_CASE("shards are contiguous, even, and of every rank count the same") {
  for (const std::size_t ranks : {1U, 2U, 3U, 4U, 7U, 9U}) {
    std::size_t next_shard = 0, next = 0;
    for (std::size_t r = 0; r < ranks; ++r) {
      const place here{r, ranks, 7};
      const index_range shards = shards_of_rank(here), part = range_of_rank(23, here);
      CHECK(shards.begin == next_shard);
      CHECK(shards.size() <= (7 + ranks - 1) / ranks);
      CHECK(part.begin == next);
      CHECK((part.size() > 0) == (shards.size() > 0));
      next_shard = shards.end;
      next = part.end;
    }
    CHECK(next_shard == 7);
    CHECK(next == 23);
  }
  CHECK(shard_range(10, 1, 4) == index_range{2, 5});
  // With fewer shards than ranks the first ranks work: rank 0 is never idle.
  for (std::size_t r = 0; r < 5; ++r) {
    const place here{r, 5, 2};
    CHECK(shards_of_rank(here).size() == (r < 2 ? 1 : 0));
  }
}

TEST_CASE("sequences are partitioned so that shards hold equally many of even work, in the given order") {
  const std::vector<std::size_t> lengths{1, 9, 3, 8, 2, 7};
  // By length 1 (9), 3 (8), 5 (7), 2 (3), 4 (2), 0 (1), to and fro over three shards.
  const std::vector<std::vector<std::size_t>> expected{{0, 1}, {3, 4}, {2, 5}};
  for (const std::size_t ranks : {1U, 2U, 3U, 5U}) CHECK(partitioned(lengths, ranks, 3) == expected);
  CHECK(partitioned(lengths, 1, 1) == std::vector<std::vector<std::size_t>>{numbers(6)});
  // More shards than sequences: some are empty, none is lost.
  const auto thin = partitioned({5, 5}, 2, 4);
  CHECK(thin == std::vector<std::vector<std::size_t>>{{0}, {1}, {}, {}});
}

TEST_CASE("sums of shards are added in the order of the shards") {
  // In another order the small numbers would be lost one by one.
  const std::vector<double> terms{1e16, 1, -1e16, 1, 1, 1};
  const auto total_of = [&](std::size_t ranks) {
    double out = 0;
    test::run_ranks(
        ranks,
        [&](auto& communicator) {
          shard_sums<2> sums(6);
          const index_range mine = shards_of_rank(communicator);
          for (std::size_t s = mine.begin; s < mine.end; ++s) {
            sums.shard(s)[0] += terms[s];
            sums.shard(s)[1] += 1;
          }
          const auto [total, count] = sums.total(communicator);
          if (count != 6) throw error("shards were lost");
          if (communicator.rank() == 0) out = total;
        },
        6);
    return out;
  };
  const double one = std::accumulate(terms.begin(), terms.end(), 0.0);
  for (const std::size_t ranks : {1U, 2U, 4U, 6U}) CHECK(total_of(ranks) == one);
}
