#include <cstdint>
#include <string_view>
#include <vector>

#include <coho/reward/empty_response.hpp>

#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::is_blank, coho::rank_empty_last;

TEST_CASE("a text is blank when it shows nothing") {
  for (const std::string_view text : {"", " ", "\n\t \r\n", "\xC2\xA0", " \xE3\x80\x80\xE2\x80\x8B", "\xEF\xBB\xBF\n",
                                      "\x7F", "\xE2\x80\x8C\xE2\x80\x8D", "\xE2\x80\x83\xE1\x9A\x80\xC2\x85",
                                      "\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\xAF\xE2\x81\x9F"}) {
    INFO('"' << text << '"');
    CHECK(is_blank(text));
  }
  CHECK(is_blank(std::string_view("\0 ", 2)));
  for (const std::string_view text :
       {".", " a ", "\xC2\xA1", "\xE3\x80\x81", "\xC2", "0", "\xC2\xA0x", "\xE2\x80", "\xE2\x80\x94", "\xFF"}) {
    INFO('"' << text << '"');
    CHECK_FALSE(is_blank(text));
  }
}

TEST_CASE("an empty response earns what the worst answer does") {
  const std::vector<double> rewards{3, 9, -1, -4};
  const std::vector<std::uint8_t> empty{0, 1, 0, 1};
  // One that already scores below every answer is raised to the worst: what it scored says nothing either way.
  CHECK((rank_empty_last(rewards, empty) == Eigen::Array4d(3, -1, -1, -1)).all());
  CHECK((rank_empty_last(Eigen::ArrayXf{{0.5F, 2.0F}}, std::vector<std::uint8_t>{0, 1}) == Eigen::Array2f(0.5F, 0.5F))
            .all());
  // Twice is once.
  CHECK((rank_empty_last(rank_empty_last(rewards, empty), empty) == Eigen::Array4d(3, -1, -1, -1)).all());
}

TEST_CASE("without empty responses, or without answers") {
  const std::vector<double> rewards{3, 9, -1};
  CHECK((rank_empty_last(rewards, {}) == Eigen::Array3d(3, 9, -1)).all());
  CHECK((rank_empty_last(rewards, std::vector<std::uint8_t>{0, 0, 0}) == Eigen::Array3d(3, 9, -1)).all());
  CHECK((rank_empty_last(rewards, std::vector<std::uint8_t>{1, 1, 1}) == Eigen::Array3d(-1, -1, -1)).all());
  CHECK(rank_empty_last(std::vector<double>{}, {}).size() == 0);
  CHECK_THROWS_WITH(rank_empty_last(rewards, std::vector<std::uint8_t>{0, 1}), ContainsSubstring("rank_empty_last"));
}

TEST_CASE("the worst answer is that of all ranks, some of which may have none") {
  coho::test::run_ranks(3, [](auto& ranks) {
    const std::vector<std::vector<double>> rewards{{5, 7}, {100}, {}};
    const std::vector<std::vector<std::uint8_t>> empty{{0, 0}, {1}, {}};
    const auto own = rank_empty_last(rewards[ranks.rank()], empty[ranks.rank()], ranks);
    if (ranks.rank() == 0 && !(own == Eigen::Array2d(5, 7)).all()) throw coho::error("an answer's reward was changed");
    if (ranks.rank() == 1 && own[0] != 5) throw coho::error("another rank's worst answer was not seen");
  });
}
