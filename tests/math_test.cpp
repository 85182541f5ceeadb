#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include <coho/eigen/as_array.hpp>
#include <coho/math.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using coho::test::array;
using coho::test::not_a_number;

TEST_CASE("array_like is numbers and arrays, scalar_range everything else that holds numbers") {
  STATIC_REQUIRE(coho::array_like<double>);
  STATIC_REQUIRE(coho::array_like<float>);
  STATIC_REQUIRE(coho::array_like<Eigen::ArrayXd>);
  STATIC_REQUIRE(coho::array_like<Eigen::ArrayXXf&>);
  STATIC_REQUIRE(coho::array_like<decltype(Eigen::ArrayXd() + Eigen::ArrayXd())>);
  STATIC_REQUIRE_FALSE(coho::array_like<int>);
  STATIC_REQUIRE_FALSE(coho::array_like<std::vector<double>>);
  STATIC_REQUIRE_FALSE(coho::array_like<Eigen::ArrayXi>);
  STATIC_REQUIRE(coho::scalar_range<std::vector<float>>);
  STATIC_REQUIRE_FALSE(coho::scalar_range<Eigen::ArrayXd>);
  STATIC_REQUIRE_FALSE(coho::scalar_range<std::vector<std::string>>);
  STATIC_REQUIRE(std::is_same_v<coho::plain_t<decltype(Eigen::ArrayXf() * 2.0f)>, Eigen::ArrayXf>);
}

TEST_CASE("min, max, clamp and where on numbers") {
  CHECK(coho::min(1.0, 2.0) == 1.0);
  CHECK(coho::max(1.0, 2.0) == 2.0);
  CHECK(coho::clamp(3.0, -1, 1) == 1.0);
  CHECK(coho::clamp(-3.0, -1, 1) == -1.0);
  CHECK(coho::clamp(0.5f, -1, 1) == 0.5f);
  CHECK(coho::where(true, 1.0, 2.0) == 1.0);
  CHECK(coho::where(false, 1.0, 2.0) == 2.0);
  STATIC_REQUIRE(std::is_same_v<decltype(coho::clamp(0.5f, -1, 1)), float>);
}

TEST_CASE("NaN propagates through min, max and clamp from either side") {
  CHECK(std::isnan(coho::min(not_a_number, 1.0)));
  CHECK(std::isnan(coho::min(1.0, not_a_number)));
  CHECK(std::isnan(coho::max(not_a_number, 1.0)));
  CHECK(std::isnan(coho::max(1.0, not_a_number)));
  CHECK(std::isnan(coho::clamp(not_a_number, -1, 1)));
  const Eigen::ArrayXd x = array({not_a_number, 1, 2}), y = array({1, not_a_number, 3});
  const Eigen::ArrayXd smaller = coho::min(x, y), larger = coho::max(x, y);
  CHECK(std::isnan(smaller[0]));
  CHECK(std::isnan(smaller[1]));
  CHECK(std::isnan(larger[0]));
  CHECK(std::isnan(larger[1]));
  CHECK(smaller[2] == 2);
  CHECK(larger[2] == 3);
  CHECK(std::isnan(coho::clamp(x, -1, 1)[0]));
}

TEST_CASE("the objects take Eigen arrays, expressions and numbers on either side") {
  const Eigen::ArrayXd x = array({-2, 0, 2}), y = array({1, -1, 3});
  CHECK((coho::max(x, y) == array({1, 0, 3})).all());
  CHECK((coho::max(x, 0.0) == array({0, 0, 2})).all());
  CHECK((coho::max(0.0, x) == array({0, 0, 2})).all());
  CHECK((coho::min(x + 1.0, y * 2.0) == array({-1, -2, 3})).all());
  CHECK((coho::clamp(x, -1, 1) == array({-1, 0, 1})).all());
  CHECK((coho::where(x > 0.0, x, 7.0) == array({7, 7, 2})).all());
  CHECK((coho::where(x > 0.0, x, y) == array({1, -1, 2})).all());
  CHECK(coho::sum(x + y) == Approx(3));
  CHECK((coho::detach(x) == x).all());
  // Results are stored arrays, not expressions over temporaries.
  STATIC_REQUIRE(std::is_same_v<decltype(coho::max(x + 1.0, y)), Eigen::ArrayXd>);
  STATIC_REQUIRE(std::is_same_v<decltype(coho::softplus(x * 2.0)), Eigen::ArrayXd>);
}

TEST_CASE("sums of floats accumulate in double") {
  Eigen::ArrayXf x = Eigen::ArrayXf::Constant(1 << 20, 1e-3f);
  x[0] = 1e6f;
  CHECK(coho::sum(x) == Approx(1e6 + static_cast<double>(1e-3f) * ((1 << 20) - 1)).epsilon(1e-12));
}

TEMPLATE_TEST_CASE("softplus, log_sigmoid and sigmoid neither overflow nor lose the small side", "", float, double) {
  using coho::log_sigmoid, coho::sigmoid, coho::softplus;
  const TestType epsilon = std::numeric_limits<TestType>::epsilon();
  CHECK(softplus(TestType(0)) == Approx(0.6931471805599453).epsilon(epsilon));
  CHECK(softplus(TestType(1000)) == TestType(1000));
  CHECK(softplus(TestType(-30)) == Approx(9.357622968839737e-14).epsilon(4 * epsilon));
  CHECK(softplus(TestType(-80)) == Approx(1.8048513878454153e-35).epsilon(4 * epsilon));
  CHECK(log_sigmoid(TestType(-1000)) == TestType(-1000));
  CHECK(log_sigmoid(TestType(30)) == Approx(-9.357622968839737e-14).epsilon(4 * epsilon));
  CHECK(sigmoid(TestType(0)) == TestType(0.5));
  CHECK(sigmoid(TestType(-1000)) == TestType(0));
  CHECK(sigmoid(TestType(1000)) == TestType(1));
  CHECK(sigmoid(TestType(-30)) == Approx(9.357622968839299e-14).epsilon(4 * epsilon));
  STATIC_REQUIRE(std::is_same_v<decltype(softplus(TestType(0))), TestType>);

  using array_type = Eigen::Array<TestType, Eigen::Dynamic, 1>;
  const array_type x = array_type::LinSpaced(101, -25, 25);
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    CHECK(softplus(x)[i] == Approx(softplus(x[i])).epsilon(8 * epsilon));
    CHECK(log_sigmoid(x)[i] == Approx(log_sigmoid(x[i])).epsilon(8 * epsilon));
    CHECK(sigmoid(x)[i] == Approx(sigmoid(x[i])).epsilon(32 * epsilon));
    CHECK(sigmoid(x[i]) + sigmoid(-x[i]) == Approx(1).epsilon(4 * epsilon));
    CHECK(softplus(x[i]) - softplus(-x[i]) == Approx(x[i]).margin(4 * epsilon));
  }
}

TEST_CASE("heaviside counts ties one half") {
  CHECK(coho::heaviside(3.0) == 1);
  CHECK(coho::heaviside(0.0) == 0.5);
  CHECK(coho::heaviside(-1e-9) == 0);
}
