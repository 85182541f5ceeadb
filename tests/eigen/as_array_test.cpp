#include <array>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include <range/v3/view/transform.hpp>

#include <coho/eigen/as_array.hpp>

#include "support/catch.hpp"

TEST_CASE("as_array views without copying") {
  std::vector<double> x{1, 2, 3};
  auto view = coho::as_array(x);
  CHECK(view.data() == x.data());
  view *= 2;
  CHECK(x == std::vector<double>{2, 4, 6});

  const std::array<float, 2> fixed{1, 2};
  CHECK(coho::as_array(fixed).data() == fixed.data());
  STATIC_REQUIRE(std::is_same_v<decltype(coho::as_array(fixed)), Eigen::Map<const Eigen::ArrayXf>>);
  CHECK(coho::as_array(std::span<const double>(x)).sum() == 12);
}

TEST_CASE("as_array of nothing is empty") {
  const std::vector<double> none;
  CHECK(coho::as_array(none).size() == 0);
}

TEST_CASE("as_span is the way back, without copying") {
  Eigen::ArrayXd x(3);
  x << 1, 2, 3;
  const std::span<const double> view = coho::as_span(std::as_const(x));
  CHECK(view.data() == x.data());
  CHECK(view.size() == 3);
  coho::as_span(x)[0] = 5;
  CHECK(x[0] == 5);
}

TEST_CASE("as_span refuses temporaries") {
  STATIC_REQUIRE_FALSE(std::is_invocable_v<coho::as_span_fn, Eigen::ArrayXd&&>);
  STATIC_REQUIRE(std::is_invocable_v<coho::as_span_fn, const Eigen::ArrayXd&>);
}

TEST_CASE("host elements lie where they are when contiguous and are evaluated once otherwise") {
  using coho::detail::host_elements;
  Eigen::ArrayXd x(4);
  x << 1, 2, 3, 4;
  CHECK(host_elements(x).data() == x.data());
  CHECK(host_elements(x.segment(1, 2)).data() == x.data() + 1);
  Eigen::VectorXd matrix = x;
  CHECK(host_elements(matrix).data() == matrix.data());

  int evaluations = 0;
  const auto counted = x.unaryExpr([&](double v) {
    ++evaluations;
    return v + 1;
  });
  CHECK(host_elements(counted) == std::vector<double>{2, 3, 4, 5});
  CHECK(evaluations == 4);

  CHECK(host_elements(x.reverse()) == std::vector<double>{4, 3, 2, 1});
  Eigen::ArrayXXd table(2, 2);
  table << 1, 2, 3, 4;
  CHECK(host_elements(table.row(1)) == std::vector<double>{3, 4});

  const std::vector<bool> bits{true, false, true};
  CHECK(host_elements(bits) == std::vector<std::uint8_t>{1, 0, 1});
  CHECK(host_elements(x > 2.0) == std::vector<std::uint8_t>{0, 0, 1, 1});
  const std::vector<int> ints{1, 2};
  CHECK(host_elements(ints | ranges::views::transform([](int v) { return v * 0.5; })) == std::vector<double>{0.5, 1});
}

TEST_CASE("one number that is not finite is found in a long array") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Eigen::ArrayXd x = Eigen::ArrayXd::Constant(3000, 1e308);
  CHECK(coho::detail::all_finite(x));
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), infinity, -infinity}) {
    x[2500] = bad;
    CHECK_FALSE(coho::detail::all_finite(x));
  }
}
