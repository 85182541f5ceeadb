#include "distributed/process_group.hpp"

#include <cstring>
#include <fstream>

#include <ATen/ATen.h>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/parallel/shards.hpp>

#include "distributed/same_run.hpp"
#include "support/catch.hpp"
#include "support/process_ranks.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using test::on_ranks;
using test::temporary_directory;

static_assert(communicator<process_group>);

namespace {

template <class Number>
Number term(std::size_t rank, std::size_t i) {
  // Large and small by turns: the order of summation shows.
  return static_cast<Number>((rank % 2 == 0 ? 1e8 : 1.0 / 3) * (1.0 + static_cast<double>(i % 7)) *
                             (rank == 2 ? -1 : 1));
}

template <class Number>
void sums_are_in_order(std::size_t count, std::size_t length, std::size_t piece) {
  std::vector<Number> expected(length);
  for (std::size_t i = 0; i < length; ++i) {
    double total = 0;
    for (std::size_t r = 0; r < count; ++r) total += static_cast<double>(term<Number>(r, i));
    expected[i] = static_cast<Number>(total);
  }
  const std::size_t largest = on_ranks(count, [&](process_group& group) {
    group.piece = piece;
    std::vector<Number> values(length);
    for (std::size_t i = 0; i < length; ++i) values[i] = term<Number>(group.rank(), i);
    group.all_reduce_sum(std::span(values));
    if (length > 0 && std::memcmp(values.data(), expected.data(), length * sizeof(Number)) != 0)
      throw error("another sum");
  });
  CHECK(largest <= piece * count * sizeof(Number));
}

}  // namespace

TEST_CASE("sums over ranks are in double and in the order of the ranks, in pieces of any size") {
  for (const std::size_t count : {1U, 2U, 3U, 5U}) {
    for (const std::size_t length : {0U, 1U, 4U, 31U, 32U, 1000U}) {
      for (const std::size_t piece : {1U, 7U, 100000U}) {
        sums_are_in_order<float>(count, length, piece);
        sums_are_in_order<double>(count, length, piece);
      }
    }
  }
}

TEST_CASE("tensors are summed over ranks in place") {
  on_ranks(2, [](process_group& group) {
    const at::Tensor mine = at::full({5}, 1.0 + static_cast<double>(group.rank()));
    const at::Tensor wide = at::full({3}, 0.5, at::kDouble);
    group.all_reduce_sum(mine);
    group.all_reduce_sum(wide);
    if (!mine.equal(at::full({5}, 3.0)) || !wide.equal(at::full({3}, 1.0, at::kDouble))) throw error("another sum");
    const at::Tensor integers = at::zeros({2}, at::kLong);
    try {
      group.all_reduce_sum(integers);
    } catch (const argument_error&) {
      return;
    }
    throw error("integers were taken");
  });
}

TEST_CASE("what ranks say reaches all") {
  on_ranks(3, [](process_group& group) {
    const std::vector<double> mine(group.rank(), static_cast<double>(group.rank()));
    bool right = group.all_gather(std::string(group.rank(), 'x')) == std::vector<std::string>{"", "x", "xx"};
    right = right && group.all_gather(std::span(mine)) == std::vector<double>{1, 2, 2};
    right = right && group.any(group.rank() == 2) && !group.any(false);
    right = right && group.broadcast_from_first(group.rank() == 0) && !group.broadcast_from_first(group.rank() == 1);
    if (!right) throw error("a rank heard something else");
  });
}

TEST_CASE("a group has one share a rank unless told otherwise") {
  process_group alone;
  CHECK(alone.size() == 1);
  CHECK(alone.first());
  CHECK(shard_count(alone) == 1);
  alone.set_shards(6);
  CHECK(shard_count(alone) == 6);
  CHECK(alone.all_gather("text") == std::vector<std::string>{"text"});
}

TEST_CASE("processors are shared by the ranks of a machine, unless the launcher bound them") {
  CHECK(threads_per_rank(48, 48, 8) == 6);
  CHECK(threads_per_rank(1, 8, 8) == 1);     // bound to a core each
  CHECK(threads_per_rank(24, 48, 2) == 24);  // bound to a socket each
  CHECK(threads_per_rank(2, 2, 5) == 1);
  process_group alone;
  CHECK(threads_per_rank(alone.carrier()) >= 1);
}

TEST_CASE("ranks with another recipe, model or data are found out on all") {
  const temporary_directory folder;
  std::filesystem::create_directory(folder / "model");
  test::write_bytes(folder / "model" / "weights", "abc");
  const auto prints = [&](const std::string& recipe) {
    return run_fingerprints(recipe, {{"out", folder / "out"}, {"model.path", folder / "model"}});
  };
  CHECK(prints("seed = 1\nthreads = 1\n") == prints("seed = 1\nthreads = 2\n"));
  CHECK(prints("seed = 1\n") != prints("seed = 2\n"));
  const auto before = prints("seed = 1\n");
  test::write_bytes(folder / "model" / "weights", "abd");
  const auto after = prints("seed = 1\n");
  const auto message = [&](const auto& others) {
    std::string found;
    on_ranks(3, [&](process_group& group) {
      try {
        require_same_run(group, group.rank() == 2 ? others : before);
      } catch (const argument_error& failure) {
        if (group.rank() == 0) found = failure.what();
        return;
      }
      throw error("no rank complained");
    });
    return found;
  };
  CHECK_THAT(message(after),
             Catch::Matchers::StartsWith("rank 2 has a different file or folder for model.path than rank 0"));
  CHECK_THAT(message(prints("seed = 2\n")), Catch::Matchers::StartsWith("rank 2 has a different recipe than rank 0"));
  on_ranks(2, [&](process_group& group) { require_same_run(group, before); });
  CHECK(hash_path(folder / "nowhere") == 0);
}
