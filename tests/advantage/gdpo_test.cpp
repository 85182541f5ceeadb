#include <cmath>
#include <vector>

#include <coho/advantage/gdpo.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"
#include "support/thread_ranks.hpp"

using namespace coho::test;
using coho::gdpo;
using lists = std::vector<std::vector<double>>;

namespace {

const coho::gdpo_options plain{.batch_normalization = false};

}  // namespace

TEST_CASE("GDPO of one group by hand: each reward by its own deviation, then the weighted sum") {
  // (2, 0) has mean 1 and deviation √2; (0, 30) mean 15 and deviation 30/√2.
  const auto found = gdpo(lists{{2, 0}, {0, 30}}, offsets{0, 2}, plain, {1, 0.5});
  const double first = 1 / (std::sqrt(2.0) + 1e-4), second = 15 / (30 / std::sqrt(2.0) + 1e-4);
  CHECK(found[0] == Approx(first - 0.5 * second));
  CHECK(found[1] == Approx(-first + 0.5 * second));
}

TEST_CASE("GDPO of one reward is group_relative; the batch's normalisation follows") {
  const Eigen::ArrayXd r = normals(12, 1);
  const offsets groups{0, 4, 7, 12};
  const std::vector<Eigen::ArrayXd> one{r};
  const Eigen::ArrayXd expected = coho::group_relative(r, groups);
  CHECK((gdpo(one, groups, plain) == expected).all());
  const Eigen::ArrayXd normalised = gdpo(one, groups);
  CHECK(normalised.mean() == Approx(0).margin(1e-12));
  CHECK(std::sqrt((normalised * normalised).sum() / 11) == Approx(1).epsilon(1e-3));
}

TEST_CASE("GDPO tells apart what a plain sum cannot, and hears a reward of small deviation") {
  // Responses 0 and 1 have the same sum; the first reward varies a thousand times as much as the second.
  const lists rewards{{1000, 0, 0, 1000}, {0, 1, 0, 1}};
  const auto found = gdpo(rewards, offsets{0, 4}, plain);
  CHECK(found[3] > found[0]);
  CHECK(found[0] == Approx(found[1]).margin(1e-3));  // one of two each, whatever their units
  CHECK(found[2] < found[1]);
  std::vector<double> sums;
  for (std::size_t i = 0; i < 4; ++i) sums.push_back(rewards[0][i] + rewards[1][i]);
  const auto plain_sum = coho::group_relative(sums, offsets{0, 4});
  CHECK(plain_sum[1] == Approx(plain_sum[2]).epsilon(0.01));  // the second reward is lost there
}

TEST_CASE("GDPO: a negative weight turns a reward around, equal rewards add nothing") {
  const std::vector<double> r{1, 2, 4}, flat{3, 3, 3};
  const auto up = gdpo(lists{r}, offsets{0, 3}, plain), down = gdpo(lists{r}, offsets{0, 3}, plain, {-1});
  CHECK((up == -down).all());
  CHECK((gdpo(lists{r, flat}, offsets{0, 3}, plain) == up).all());
  CHECK((gdpo(lists{flat, flat}, offsets{0, 3}) == 0).all());
}

TEST_CASE("GDPO: ranks share the moments of the batch, and an error of one is that of all") {
  const Eigen::ArrayXd a = normals(10, 1), b = normals(10, 2, 30);
  const Eigen::ArrayXd expected = gdpo(std::vector{a, b}, offsets{0, 4, 7, 10});
  run_ranks(2, [&](auto& ranks) {
    const Eigen::Index begin = ranks.rank() == 0 ? 0 : 4, size = ranks.rank() == 0 ? 4 : 6;
    const std::vector<Eigen::ArrayXd> mine{a.segment(begin, size), b.segment(begin, size)};
    const auto groups = ranks.rank() == 0 ? offsets{0, 4} : offsets{0, 3, 6};
    const Eigen::ArrayXd found = gdpo(mine, groups, {}, {}, ranks);
    // Catch's assertions are not for several threads at once.
    if (!found.isApprox(expected.segment(begin, size), 1e-12)) throw std::runtime_error("ranks disagree");
  });
  std::vector<int> thrown(2, 0);
  run_ranks(2, [&](auto& ranks) {
    try {
      gdpo(lists{{1, ranks.rank() == 1 ? not_a_number : 2}}, offsets{0, 2}, {}, {}, ranks);
    } catch (const coho::argument_error&) {
      thrown[ranks.rank()] = 1;
    }
  });
  CHECK(thrown == std::vector<int>{1, 1});
}

TEST_CASE("GDPO names what does not fit") {
  const offsets groups{0, 2};
  CHECK_THROWS_AS(gdpo(lists{}, groups), coho::argument_error);
  CHECK_THROWS_AS(gdpo(lists{{1, 2}, {1, 2, 3}}, groups), coho::argument_error);
  CHECK_THROWS_AS(gdpo(lists{{1, 2}}, groups, {}, {1, 1}), coho::argument_error);
  CHECK_THROWS_AS(gdpo(lists{{1, 2}}, groups, {}, {infinity}), coho::argument_error);
  CHECK_THROWS_AS(gdpo(lists{{1, not_a_number}}, groups), coho::argument_error);
  CHECK_THROWS_AS(gdpo(lists{{1, 2, 3}}, groups), coho::argument_error);
  CHECK_THROWS_AS(gdpo(lists{{1, 2}}, groups, {.epsilon = 0}), coho::option_error);
  CHECK_THROWS_AS(gdpo(lists{{1, 2}}, groups, {.each = {.epsilon = 0}}), coho::option_error);
}
