#include <limits>
#include <numeric>
#include <vector>

#include <coho/advantage/whiten.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::deviation, coho::whiten, coho::whiten_scope;

namespace {

// Plays back the sums that the other ranks would have sent.
struct scripted_communicator {
  std::vector<double> others;
  std::size_t next = 0;
  std::size_t rank() const { return 0; }
  std::size_t size() const { return 2; }
  void all_reduce_sum(std::span<double> numbers) {
    for (double& x : numbers) x += others.at(next++);
  }
  void all_reduce_sum(std::span<float>) {}
};

}  // namespace

TEMPLATE_TEST_CASE("mean 0, population deviation 1", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  const auto y = whiten(make<TestType>({1, 2, 3, 4}));
  const double unit = std::sqrt(1.25);
  for (int i = 0; i < 4; ++i) CHECK(y[i] == Approx((i - 1.5) / unit).epsilon(1e-6));
}

TEST_CASE("the options of whitening") {
  const Eigen::ArrayXd x = array({1, 2, 3, 4});
  CHECK(whiten(x, {.keep_mean = true}).mean() == Approx(2.5));
  const auto bessel = whiten(x, {.deviation = deviation::bessel});
  CHECK(bessel.square().sum() / 3 == Approx(1));
  CHECK(whiten(x, {.epsilon = 1.0})[3] == Approx(1.5 / (std::sqrt(1.25) + 1)));
}

TEST_CASE("mistake 9: masked numbers do not leak into whitening") {
  const Eigen::ArrayXd x = array({1, not_a_number, 2, infinity, 3});
  const flags mask{1, 0, 1, 0, 1};
  const Eigen::ArrayXd y = whiten(x, mask), expected = whiten(array({1, 2, 3}));
  CHECK((y == array({expected[0], 0, expected[1], 0, expected[2]})).all());
}

TEST_CASE("presets: the paper whitens real tokens, the released code padding too") {
  const Eigen::ArrayXd x = array({1, 3, 0, 0});
  const flags mask{1, 1, 0, 0};
  CHECK(whiten(x, mask, coho::whiten_options::paper()).isApprox(array({-1, 1, 0, 0}), 1e-7));
  const Eigen::ArrayXd unmasked = whiten(x, mask, coho::whiten_options::salmon_code());
  CHECK(unmasked.isApprox((x - 1) / std::sqrt(1.5), 1e-7));
}

TEST_CASE("equal numbers, one number and none give zeros, never NaN") {
  CHECK((whiten(array({5, 5, 5})) == 0.0).all());
  CHECK((whiten(array({5, 5, 5}), {.keep_mean = true}) == 5.0).all());
  CHECK((whiten(array({7}), {.deviation = deviation::bessel}) == 0.0).all());
  CHECK(whiten(Eigen::ArrayXd()).size() == 0);
  CHECK((whiten(array({not_a_number, not_a_number}), flags{0, 0}) == 0.0).all());
}

TEST_CASE("a mean far from zero does not cancel the deviation") {
  Eigen::ArrayXd x(10001);
  for (Eigen::Index i = 0; i < x.size(); ++i) x[i] = 1e9 + static_cast<double>(i % 3 - 1);
  const Eigen::ArrayXd y = whiten(x);
  CHECK(y.square().mean() == Approx(1).epsilon(1e-6));
  CHECK(y.mean() == Approx(0).margin(1e-6));
}

TEST_CASE("ranks together whiten as one batch would") {
  const Eigen::ArrayXd mine = array({1, 2, 3}), theirs = array({10, 20}), all = array({1, 2, 3, 10, 20});
  const double shift = theirs.mean() - all.mean();
  const double their_squares = (theirs - theirs.mean()).square().sum() + 2 * shift * shift;
  const Eigen::ArrayXd expected = whiten(all).head(3);

  scripted_communicator ranks{{2, theirs.sum(), their_squares}};
  CHECK(whiten(mine, flags{1, 1, 1}, {}, ranks).isApprox(expected, 1e-12));
  CHECK(ranks.next == 3);

  // A rank without tokens takes part and returns its zeros.
  scripted_communicator busy{{5, all.sum(), 100}};
  CHECK((whiten(array({not_a_number}), flags{0}, {}, busy) == 0.0).all());
  CHECK(busy.next == 3);
}

TEST_CASE("whitening names what it cannot use") {
  CHECK_THROWS_AS(whiten(array({1, 2}), flags{1}), coho::argument_error);
  CHECK_THROWS_AS(whiten(array({1, not_a_number})), coho::argument_error);
  CHECK_THROWS_AS(whiten(array({1, infinity}), flags{1, 1}), coho::argument_error);
  CHECK_THROWS_AS(whiten(array({1, 2}), {.epsilon = 0}), coho::option_error);
}

TEST_CASE("equal numbers whiten to 0 however large they are") {
  for (const double x : {0.1, 1e8 + 0.1, -3e100}) {
    const Eigen::ArrayXd equal = Eigen::ArrayXd::Constant(3, x);
    CHECK((coho::whiten(equal) == 0).all());
    CHECK((coho::whiten(equal, coho::whiten_options{.keep_mean = true}) / x - 1).abs().maxCoeff() < 1e-14);
  }
}

TEST_CASE("moments of long arrays agree with two passes in higher precision, wherever the mean and the padding are") {
  constexpr std::size_t size = 5003;  // more than one block, no whole number of parts
  const Eigen::ArrayXd noise = normals(size, 1, 11);
  for (const double mean : {0.0, 1e9, -1e12}) {
    for (const double first : {0.0, 1e8}) {         // an outlier as the origin of the differences
      for (const std::size_t run : {1, 70, 900}) {  // padding of so many, tokens of so many in turns
        std::vector<double> x(size);
        std::vector<std::uint8_t> mask(size);
        for (std::size_t t = 0; t < size; ++t) {
          mask[t] = (t / run) % 2 == 0;
          x[t] = mask[t] ? mean + noise[static_cast<Eigen::Index>(t)] + (t == 0 ? first : 0)
                         : std::numeric_limits<double>::quiet_NaN();
        }
        long double sum = 0, squares = 0, count = 0;
        for (std::size_t t = 0; t < size; ++t)
          if (mask[t]) sum += x[t], count += 1;
        for (std::size_t t = 0; t < size; ++t)
          if (mask[t]) squares += (x[t] - sum / count) * (x[t] - sum / count);
        const auto found = coho::detail::sum_moments(std::span<const double>(x), std::span<const std::uint8_t>(mask));
        INFO("mean " << mean << ", first " << first << ", runs of " << run);
        CHECK(found.count == static_cast<double>(count));
        const double deviation = std::sqrt(static_cast<double>(squares / count));
        CHECK(found.mean == Approx(static_cast<double>(sum / count)).epsilon(1e-14).margin(1e-14 * deviation));
        // The mean itself is known to half of its last place only.
        CHECK(found.squares == Approx(static_cast<double>(squares)).epsilon(mean == 0 ? 1e-12 : 1e-6));
        const Eigen::ArrayXd y = whiten(x, mask);
        for (std::size_t t = 0; t < size; t += 7) {
          const double right = mask[t] ? static_cast<double>(x[t] - sum / count) / (deviation + 1e-8) : 0;
          REQUIRE(y[static_cast<Eigen::Index>(t)] == Approx(right).epsilon(1e-6).margin(2e-4 * (mean < 0) + 1e-6));
        }
      }
    }
  }
}
