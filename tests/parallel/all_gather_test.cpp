#include <cstdint>
#include <vector>

#include <coho/detail/span_of.hpp>
#include <coho/parallel/all_gather.hpp>

#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;

TEST_CASE("bytes of all ranks come to each in the order of the ranks") {
  const std::vector<std::vector<std::uint8_t>> sent{{1, 2, 3, 4, 5, 6, 255, 0, 9}, {}, {0, 0, 0, 0, 0, 0, 0}, {255}};
  test::run_ranks(4, [&](auto& ranks) {
    if (all_gather(detail::span_of(sent[ranks.rank()]), ranks) != sent) throw error("other bytes arrived");
  });
  CHECK(all_gather(detail::span_of(sent[0]), local) == std::vector<std::vector<std::uint8_t>>{sent[0]});
}
