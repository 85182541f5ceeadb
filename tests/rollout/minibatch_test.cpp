#include <algorithm>
#include <mutex>
#include <numeric>
#include <vector>

#include <coho/rollout/minibatch.hpp>

#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using parts = std::vector<std::vector<std::size_t>>;

namespace {
std::vector<std::uint64_t> keys(std::size_t count, std::uint64_t first = 0) {
  std::vector<std::uint64_t> out(count);
  std::iota(out.begin(), out.end(), first);
  return out;
}
}  // namespace

TEST_CASE("minibatches are a partition, shuffled by the stream") {
  const auto k = keys(10);
  const auto cut = minibatches(k, 4, rng(1));
  REQUIRE(cut.size() == 3);
  CHECK(cut[0].size() == 4);
  CHECK(cut[2].size() == 2);
  std::vector<std::size_t> all;
  for (const auto& part : cut) all.insert(all.end(), part.begin(), part.end());
  CHECK_FALSE(std::ranges::is_sorted(all));
  std::ranges::sort(all);
  CHECK(all == std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(minibatches(k, 4, rng(1)) == cut);
  CHECK(minibatches(k, 4, rng(2)) != cut);
  CHECK(minibatches(k, 0, rng(1)).size() == 1);
}

TEST_CASE("which sequences meet does not depend on the order in which they are given") {
  auto k = keys(12, 50);
  const auto cut = minibatches(k, 5, rng(1));
  const auto by_key = [](const parts& p, const std::vector<std::uint64_t>& names) {
    std::vector<std::vector<std::uint64_t>> out;
    for (const auto& part : p) {
      out.emplace_back();
      for (const std::size_t i : part) out.back().push_back(names[i]);
    }
    return out;
  };
  const auto before = by_key(cut, k);
  std::ranges::reverse(k);
  CHECK(by_key(minibatches(k, 5, rng(1)), k) == before);
}

TEST_CASE("ranks share minibatches") {
  const auto whole = minibatches(keys(12), 5, rng(1));
  parts together(whole.size());
  std::mutex lock;
  test::run_ranks(3, [&](auto& ranks) {
    const std::size_t first = ranks.rank() * 4;
    const auto mine = minibatches(keys(4, first), 5, rng(1), minibatch_scope::global, ranks);
    const std::scoped_lock guard(lock);
    if (mine.size() != whole.size()) throw error("ranks disagree on the number of minibatches");
    for (std::size_t b = 0; b < mine.size(); ++b) {
      for (const std::size_t i : mine[b]) together[b].push_back(first + i);
    }
  });
  for (std::size_t b = 0; b < whole.size(); ++b) {
    auto expected = whole[b];
    std::ranges::sort(expected);
    std::ranges::sort(together[b]);
    CHECK(together[b] == expected);
  }

  test::run_ranks(2, [&](auto& ranks) {
    const auto mine = minibatches(keys(6, ranks.rank() * 6), 4, rng(1), minibatch_scope::each_rank, ranks);
    const std::scoped_lock guard(lock);
    CHECK(mine.size() == 3);
    for (const auto& part : mine) CHECK(part.size() == 2);
  });
  CHECK_THROWS_AS(
      test::run_ranks(
          2,
          [&](auto& ranks) { minibatches(keys(6, ranks.rank() * 6), 5, rng(1), minibatch_scope::each_rank, ranks); }),
      argument_error);
}

TEST_CASE("gather and scatter are each other's reverse") {
  const std::vector<std::size_t> offsets{0, 2, 2, 5};
  const Eigen::ArrayXd flat{{1, 2, 3, 4, 5}};
  const std::vector<std::size_t> indices{2, 1, 0};
  const Eigen::ArrayXd part = gather(flat, offsets, indices);
  CHECK((part == Eigen::ArrayXd{{3, 4, 5, 1, 2}}).all());
  Eigen::ArrayXd back = Eigen::ArrayXd::Zero(5);
  scatter(part, offsets, indices, back);
  CHECK((back == flat).all());
}
