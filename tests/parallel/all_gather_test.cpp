#include <limits>
#include <string>

#include <Eigen/Core>

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

TEST_CASE("what a byte_writer wrote is read back to the bit") {
  detail::byte_writer out;
  const Eigen::ArrayXd numbers{{-0.0, std::numeric_limits<double>::infinity(), 0.1}};
  out.number(std::int64_t{-5});
  out.array(numbers);
  out.array(std::string());
  out.array(std::string("für"));
  detail::byte_reader in(detail::span_of(out.bytes()));
  CHECK(in.number<std::int64_t>() == -5);
  const auto read = in.array<Eigen::ArrayXd>();
  CHECK(std::memcmp(read.data(), numbers.data(), 3 * sizeof(double)) == 0);
  CHECK(in.array<std::string>().empty());
  CHECK_FALSE(in.at_end());
  CHECK(in.array<std::string>() == "für");
  CHECK(in.at_end());
}
