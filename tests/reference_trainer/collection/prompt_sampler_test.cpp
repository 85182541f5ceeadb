#include "collection/prompt_sampler.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "support/catch.hpp"

using namespace coho;
using namespace coho::trainer;

namespace {

std::uint64_t hash_of(std::uint64_t i) { return rng(99, i).bits64(); }

std::set<std::uint64_t> drawn(std::uint64_t seed, std::string_view source, std::size_t count,
                              const std::vector<std::uint64_t>& hashes) {
  prompt_sampler draw(seed, source, count);
  std::size_t displaced = 0, refused = 0;
  for (const auto hash : hashes) {
    if (draw.accepts(hash))
      displaced += draw.add({.hash = hash});
    else
      ++refused;
  }
  CHECK(draw.size() + displaced + refused == hashes.size());
  std::set<std::uint64_t> out;
  for (const auto& prompt : draw.extract()) out.insert(prompt.hash);
  CHECK(draw.size() == 0);
  return out;
}

std::vector<std::uint64_t> hashes(std::size_t count) {
  std::vector<std::uint64_t> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(hash_of(i));
  return out;
}

}  // namespace

TEST_CASE("draw: a set of the size asked for, whatever the order of reading") {
  auto all = hashes(500);
  const auto first = drawn(1, "a", 40, all);
  CHECK(first.size() == 40);
  std::ranges::reverse(all);
  CHECK(drawn(1, "a", 40, all) == first);
  rng(5).shuffle(all);
  CHECK(drawn(1, "a", 40, all) == first);
  CHECK(drawn(2, "a", 40, all) != first);
  CHECK(drawn(1, "b", 40, all) != first);
  CHECK(drawn(1, "a", 1000, all).size() == 500);
  CHECK(drawn(1, "a", 0, all).empty());
  // A larger draw holds the smaller one.
  const auto more = drawn(1, "a", 60, all);
  CHECK(std::ranges::includes(more, first));
}

TEST_CASE("draw: every prompt is as likely as any other") {
  const auto all = hashes(20);
  std::map<std::uint64_t, int> times;
  for (std::uint64_t seed = 0; seed < 2000; ++seed)
    for (const auto hash : drawn(seed, "a", 5, all)) ++times[hash];
  REQUIRE(times.size() == 20);
  // Of 2000 draws with p = 1/4: 500 expected, standard deviation 19.4.
  for (const auto& [hash, count] : times) CHECK(std::abs(count - 500) < 5 * 20);
}

TEST_CASE("draw: the order depends on seed and hashes alone") {
  const auto order = [](std::uint64_t seed, bool reversed) {
    drawn_prompts prompts;
    for (const auto hash : hashes(100)) prompts.push_back({.hash = hash});
    if (reversed) std::ranges::reverse(prompts);
    shuffle_by_hash(prompts, seed);
    std::vector<std::uint64_t> out;
    for (const auto& prompt : prompts) out.push_back(prompt.hash);
    return out;
  };
  const auto first = order(1, false);
  CHECK(order(1, true) == first);
  CHECK(order(2, false) != first);
  CHECK(first != hashes(100));
  auto sorted = first, all = hashes(100);
  std::ranges::sort(sorted);
  std::ranges::sort(all);
  CHECK(sorted == all);
}
