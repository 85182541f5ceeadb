#include "roles/prefix_groups.hpp"

#include <algorithm>

#include <coho/error.hpp>
#include <coho/rng.hpp>

#include "support/catch.hpp"

using namespace coho;
using namespace coho::trainer;

namespace {

using sequences_t = std::vector<std::vector<token>>;
using members_t = std::vector<std::size_t>;

std::size_t total(const std::vector<shared_sequences>& groups) {
  std::size_t out = 0;
  for (const auto& group : groups) out += group.tokens;
  return out;
}

// The fewest tokens over all splits of a short list into groups, whatever their order.
std::size_t fewest(const sequences_t& all, std::size_t minimum, members_t left) {
  if (left.empty()) return 0;
  const std::size_t first = left.front();
  std::size_t best = std::size_t(-1);
  for (std::size_t chosen = 0; chosen < (std::size_t{1} << (left.size() - 1)); ++chosen) {
    members_t with{first}, without;
    for (std::size_t i = 1; i < left.size(); ++i) ((chosen >> (i - 1)) & 1 ? with : without).push_back(left[i]);
    std::size_t shared = all[first].size() - 1, tokens = 0;
    for (const std::size_t m : with) {
      const auto end = std::ranges::mismatch(all[first], all[m]).in1;
      shared = std::min({shared, static_cast<std::size_t>(end - all[first].begin()), all[m].size() - 1});
      tokens += all[m].size();
    }
    if (with.size() > 1 && shared < minimum) continue;
    best = std::min(best, tokens - (with.size() - 1) * shared + fewest(all, minimum, without));
  }
  return best;
}

}  // namespace

TEST_CASE("prefix groups: what shares a prefix is read together, wherever it stands in the list") {
  const sequences_t all{{1, 2, 3, 4, 5}, {9, 9}, {1, 2, 3, 7, 7}, {1, 8, 8, 8, 1}, {1, 8, 8, 8, 2}};
  const auto groups = group_by_prefix(all, 3);
  REQUIRE(groups.size() == 3);
  CHECK(groups[0] == shared_sequences{.shared = 3, .members = {0, 2}, .tokens = 7});
  CHECK(groups[1] == shared_sequences{.shared = 4, .members = {3, 4}, .tokens = 6});
  CHECK(groups[2] == shared_sequences{.shared = 0, .members = {1}, .tokens = 2});
  // A prefix of one token is worth nothing here, one of four is not long enough there.
  CHECK(group_by_prefix(all, 4).size() == 4);
  CHECK(group_by_prefix(all, 5).size() == 5);
}

TEST_CASE("prefix groups: each member keeps a token of its own") {
  const auto groups = group_by_prefix(sequences_t{{1, 2, 3, 4}, {1, 2, 3, 4}, {1, 2, 3, 4, 5}}, 2);
  REQUIRE(groups.size() == 1);
  CHECK(groups[0] == shared_sequences{.shared = 3, .members = {0, 1, 2}, .tokens = 7});
  CHECK(group_by_prefix({}, 2).empty());
  CHECK_THROWS_AS(group_by_prefix(sequences_t{{1}, {}}, 2), argument_error);
}

TEST_CASE("prefix groups: no other split leaves fewer tokens") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    rng random{seed};
    sequences_t all;
    for (std::size_t i = 0; i < 6; ++i) {
      std::vector<token> next;
      const std::size_t length = 1 + random.index(7);
      for (std::size_t t = 0; t < length; ++t) next.push_back(static_cast<token>(random.index(2)));
      all.push_back(std::move(next));
    }
    const std::size_t minimum = 1 + random.index(3);
    const auto groups = group_by_prefix(all, minimum);
    INFO("seed " << seed);
    CHECK(total(groups) == fewest(all, minimum, {0, 1, 2, 3, 4, 5}));
    members_t seen;
    for (const auto& group : groups) {
      seen.insert(seen.end(), group.members.begin(), group.members.end());
      CHECK((group.shared >= minimum || group.members.size() == 1));
      for (const std::size_t m : group.members) {
        REQUIRE(all[m].size() > group.shared);
        CHECK(std::equal(all[m].begin(), all[m].begin() + static_cast<std::ptrdiff_t>(group.shared),
                         all[group.members.front()].begin()));
      }
    }
    std::ranges::sort(seen);
    CHECK(seen == members_t{0, 1, 2, 3, 4, 5});
  }
}

TEST_CASE("prefix groups: a forward holds no more than its limits") {
  sequences_t all;
  for (token i = 0; i < 10; ++i) all.push_back({1, 2, 3, 4, i});
  for (const batch_limits limits : {batch_limits{.tokens = 8}, batch_limits{.sequences = 3}}) {
    const auto groups = group_by_prefix(all, 2, limits);
    const auto parts = pack_groups(groups, limits);
    std::size_t members = 0;
    for (const auto& part : parts) {
      std::size_t sequences = 0;
      for (const auto& group : part) sequences += group.members.size();
      CHECK((limits.tokens == 0 || total(part) <= limits.tokens));
      CHECK((limits.sequences == 0 || sequences <= limits.sequences));
      members += sequences;
    }
    CHECK(members == 10);
  }
  CHECK(pack_groups(group_by_prefix(all, 2), {}).size() == 1);
  // One sequence over the limit goes alone.
  CHECK(pack_groups(group_by_prefix(sequences_t{{1, 2, 3}, {1, 2, 4}}, 1, {.tokens = 2}), {.tokens = 2}).size() == 2);
}
