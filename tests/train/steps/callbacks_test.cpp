#include <string>
#include <vector>

#include <coho/train/steps/callbacks.hpp>

#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;

namespace {
struct statistics {
  int value;
};
struct recorder {
  std::vector<std::string> calls{};
  void on_step_begin(std::uint64_t step) { calls.push_back("begin " + std::to_string(step)); }
  void on_step_end(const statistics& s) { calls.push_back("end " + std::to_string(s.value)); }
};
struct stopper {
  bool stop = false;
  bool stop_requested() const { return stop; }
};
}  // namespace

TEST_CASE("hooks are called where they exist") {
  recorder first;
  stopper second;
  notify::step_begin(4, first, second);
  notify::minibatch(statistics{1}, first, second);
  notify::rollouts(statistics{2}, first, second);
  notify::step_end(statistics{3}, first, second);
  CHECK(first.calls == std::vector<std::string>{"begin 4", "end 3"});
  STATIC_REQUIRE(detail::require_callback<recorder&, statistics>());
  STATIC_REQUIRE(detail::require_callback<const stopper&, statistics>());
}

TEST_CASE("a wish to stop on one rank stops all") {
  stopper go, halt{true};
  CHECK_FALSE(notify::stop_requested(local));
  CHECK_FALSE(notify::stop_requested(local, go));
  CHECK(notify::stop_requested(local, go, halt));
  test::run_ranks(3, [](auto& ranks) {
    stopper mine{ranks.rank() == 1};
    if (!notify::stop_requested(ranks, mine)) throw error("rank goes on alone");
  });
}
