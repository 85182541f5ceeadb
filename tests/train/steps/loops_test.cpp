#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <span>
#include <vector>

#include <coho/train/steps/loops.hpp>

#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;

namespace {

struct fit_options {
  std::size_t batch_size = 2;
  std::uint64_t epochs = 2;
  double gradient_norm_clip = 1;
  bool shuffle = false;
  std::uint64_t seed = 0;
};

struct fitted_step {
  std::vector<int> batch;
  std::uint64_t epoch;
  friend bool operator==(const fitted_step&, const fitted_step&) = default;
};

struct stop_after {
  std::size_t steps;
  std::size_t asked = 0;
  bool stop_requested() { return ++asked == steps; }
};

/// A trainer whose steps only count.
template <class Communicator, class... Callbacks>
std::vector<fitted_step> fit(const std::vector<int>& data, const fit_options& options, std::uint64_t made,
                             Communicator& ranks, Callbacks&... callbacks) {
  return detail::fit_source(
      data.size(), options, made, ranks,
      [&](const std::vector<std::size_t>& indices, std::uint64_t epoch) {
        ++made;
        std::vector<int> batch;
        for (const std::size_t i : indices) batch.push_back(data[i]);
        return fitted_step{batch, epoch};
      },
      callbacks...);
}

const std::vector<int> five{10, 11, 12, 13, 14};

}  // namespace

TEST_CASE("passes over data hand each step its examples and its epoch") {
  const auto history = fit(five, {}, 0, local);
  const std::vector<int> first{10, 11}, second{12, 13}, third{14};
  CHECK(history == std::vector<fitted_step>{{first, 0}, {second, 0}, {third, 0}, {first, 1}, {second, 1}, {third, 1}});
}

TEST_CASE("passes over data go on from the step where they were") {
  const fit_options options{.epochs = 3, .shuffle = true, .seed = 8};
  const auto whole = fit(five, options, 0, local);
  REQUIRE(whole.size() == 9);
  for (const std::uint64_t made : {1, 3, 8, 9, 20}) {
    const auto rest = fit(five, options, made, local);
    CHECK(rest == std::vector<fitted_step>(
                      whole.begin() + static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(made, 9)), whole.end()));
  }
}

TEST_CASE("passes over data end with the step after which a callback wants to stop") {
  for (const std::size_t steps : {1, 4, 6}) {
    stop_after stop{steps};
    CHECK(fit(five, {}, 0, local, stop).size() == steps);
    CHECK(stop.asked == steps);
  }
  CHECK_THROWS_AS(fit({}, {}, 0, local), argument_error);
}

TEST_CASE("ranks pass over the same data in step") {
  const auto alone = fit(five, {.batch_size = 3, .shuffle = true}, 0, local);
  test::run_ranks(2, [&](auto& ranks) {
    // The second rank's callback stops both.
    stop_after stop{ranks.rank() == 1 ? std::size_t{3} : std::size_t{100}};
    const auto history = fit(five, {.batch_size = 3, .shuffle = true}, 0, ranks, stop);
    const bool right = history.size() == 3 && std::equal(history.begin(), history.end(), alone.begin());
    if (!right) throw error("a rank has other steps");
  });
}

TEST_CASE("of a batch that is not loaded, each example is on one rank, where its share finds it") {
  const std::vector<std::size_t> batch{40, 30, 20, 10, 0};
  std::vector<std::size_t> places;
  std::mutex guard;
  test::run_ranks(
      2,
      [&](auto& ranks) {
        const auto [work, mine] = detail::plan_loading(batch, ranks);
        const std::lock_guard lock(guard);
        for (const auto& shard : work.mine) {
          for (const std::size_t i : shard.indices) places.push_back(mine.at(i));
        }
      },
      3);
  std::ranges::sort(places);
  CHECK(places == std::vector<std::size_t>{0, 10, 20, 30, 40});
}

TEST_CASE("an on-policy run asks its source for each step's prompts until its steps are made") {
  struct counting_trainer {
    std::uint64_t made = 0;
    std::size_t step(std::span<const rl_prompt> prompts) {
      ++made;
      return prompts.size();
    }
    std::size_t step(std::span<const rl_prompt> prompts, stop_after&) { return step(prompts); }
  } trainer;
  std::vector<std::uint64_t> asked;
  auto source = [&](std::uint64_t step) {
    asked.push_back(step);
    return std::vector<rl_prompt>(step + 1);
  };
  CHECK(detail::run_steps(trainer, local, source, trainer.made, 3) == std::vector<std::size_t>{1, 2, 3});
  CHECK(detail::run_steps(trainer, local, source, trainer.made, 3).empty());  // three in all, not three more
  CHECK(detail::run_steps(trainer, local, source, trainer.made, 4) == std::vector<std::size_t>{4});
  stop_after stop{2};
  CHECK(detail::run_steps(trainer, local, source, trainer.made, 100, stop) == std::vector<std::size_t>{5, 6});
  CHECK(asked == std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("a saved position of another seed or batch size says what differs") {
  const fit_options options{.batch_size = 4, .seed = 7};
  CHECK_NOTHROW(detail::require_same_data_order({.step = 99, .seed = 7, .batch_size = 4}, options));
  CHECK_THROWS_WITH(detail::require_same_data_order({.seed = 8, .batch_size = 4}, options),
                    "seed = 7 is not allowed: it must be 8, as in the saved run");
  CHECK_THROWS_WITH(detail::require_same_data_order({.seed = 7, .batch_size = 5}, options),
                    "batch_size = 4 is not allowed: it must be 5, as in the saved run");
  CHECK_THROWS_AS(detail::require_saved_value("seed", 0, 1), argument_error);
  CHECK_NOTHROW(detail::require_saved_value("seed", 1, 1));
}

TEST_CASE("all indices count from 0") {
  CHECK(detail::all_indices(0).empty());
  CHECK(detail::all_indices(4) == std::vector<std::size_t>{0, 1, 2, 3});
}
